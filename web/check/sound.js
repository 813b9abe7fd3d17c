// Sound as the check makes and measures it. No DOM, no network.

const TONES_HZ = [523.25, 783.99];
const TONE_SECS = 0.45;
const TONE_RATE_HZ = 24_000;
const TONE_LEVEL = 0.35;
const HEADER_BYTES = 44;
// The quietest that the meter shows.
const FLOOR_DBFS = -60;

/** @returns {Blob} two soft tones, one after the other, as a WAV file */
export function chime() {
  const nEach = TONE_SECS * TONE_RATE_HZ;
  const sound = new Int16Array(TONES_HZ.length * nEach);
  sound.forEach((_, n) => {
    const share = (n % nEach) / nEach;
    // It fades in and out, so that it does not click.
    const loudness = TONE_LEVEL * Math.min(1, share * 20) * (1 - share) ** 1.5;
    sound[n] = 32_767 * loudness * Math.sin((2 * Math.PI * TONES_HZ[Math.floor(n / nEach)] * n) / TONE_RATE_HZ);
  });
  return asWav([sound], TONE_RATE_HZ);
}

/**
 * @param {Int16Array[]} chunks - mono
 * @param {number} rateHz
 * @returns {Blob} a WAV file
 */
export function asWav(chunks, rateHz) {
  const nBytes = 2 * chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  const write = (at, text) => [...text].forEach((letter, n) => header.setUint8(at + n, letter.charCodeAt(0)));
  write(0, "RIFF");
  header.setUint32(4, HEADER_BYTES - 8 + nBytes, true);
  write(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  // PCM, one channel, its rate, bytes a second, bytes a sample, bits a sample.
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, rateHz, true);
  header.setUint32(28, 2 * rateHz, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  write(36, "data");
  header.setUint32(40, nBytes, true);
  return new Blob([header, ...chunks], { type: "audio/wav" });
}

/** @param {Int16Array} chunk @returns {number} its level in dBFS; -Infinity for digital silence */
export function levelDbfs(chunk) {
  const meanSquare = chunk.reduce((sum, sample) => sum + sample * sample, 0) / chunk.length / 32_768 ** 2;
  return 10 * Math.log10(meanSquare);
}

/** @returns {number} 0 (quieter than can be shown) to 1 (as loud as can be) */
export function shareOf(dbfs) {
  return Math.min(1, Math.max(0, 1 - dbfs / FLOOR_DBFS));
}
