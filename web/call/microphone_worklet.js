// The microphone on the audio thread: sound of any rate in, messages of 20 ms of 16 kHz mono s16 out.

const OUT_RATE_HZ = 16_000;
const MESSAGE_SAMPLES = 320;
const ZERO_CROSSINGS = 16;
// Of the lower rate's Nyquist frequency.
const CUTOFF = 0.92;

/**
 * A windowed-sinc polyphase filter (J. O. Smith, "Digital Audio Resampling Home Page"): block by block, as many samples
 * out as the ratio makes of those that go in.
 */
class Resampler {
  constructor(inRateHz, outRateHz) {
    const divisor = greatestCommonDivisor(inRateHz, outRateHz);
    this.up = outRateHz / divisor;
    this.down = inRateHz / divisor;
    this.half = this.up === this.down ? 0 : Math.ceil(ZERO_CROSSINGS * Math.max(1, inRateHz / outRateHz));
    this.filters = filters(this.up, this.half, CUTOFF * Math.min(1, outRateHz / inRateHz));
    this.past = new Float32Array(Math.max(0, 2 * this.half - 1));
    // Where the next sample lies, in parts of an input sample, counted from the next block's start.
    this.next = 0;
  }

  /** @param {Float32Array} block @returns {Float32Array} */
  convert(block) {
    if (this.half === 0) return block;
    const sound = new Float32Array(this.past.length + block.length);
    sound.set(this.past);
    sound.set(block, this.past.length);
    const end = block.length * this.up;
    const converted = new Float32Array(Math.max(0, Math.ceil((end - this.next) / this.down)));
    for (let index = 0; index < converted.length; index += 1, this.next += this.down) {
      const start = Math.floor(this.next / this.up);
      const filter = this.filters[this.next % this.up];
      let sum = 0;
      for (let tap = 0; tap < filter.length; tap += 1) sum += filter[tap] * sound[start + tap];
      converted[index] = sum;
    }
    this.next -= end;
    this.past = sound.slice(block.length);
    return converted;
  }
}

function filters(nPhases, half, bandwidth) {
  if (half === 0) return [];
  return Array.from({ length: nPhases }, (_, phase) => {
    const taps = Float32Array.from({ length: 2 * half }, (_tap, tap) => {
      const distance = tap - (half - 1) - phase / nPhases;
      return sinc(bandwidth * distance) * blackman(distance / half);
    });
    const gain = taps.reduce((sum, tap) => sum + tap, 0);
    return taps.map((tap) => tap / gain);
  });
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function blackman(x) {
  return Math.abs(x) >= 1 ? 0 : 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x);
}

function greatestCommonDivisor(one, other) {
  return other === 0 ? one : greatestCommonDivisor(other, one % other);
}

class MicrophoneProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(Math.round(sampleRate), OUT_RATE_HZ);
    this.message = new Int16Array(MESSAGE_SAMPLES);
    this.nSamples = 0;
  }

  process([[channel]]) {
    // Without a source time goes on all the same, in silence.
    for (const sample of this.resampler.convert(channel ?? new Float32Array(128))) {
      this.message[this.nSamples] = Math.round(Math.max(-1, Math.min(1, sample)) * 32_767);
      this.nSamples += 1;
      if (this.nSamples === MESSAGE_SAMPLES) this.send();
    }
    return true;
  }

  send() {
    this.port.postMessage(this.message.buffer, [this.message.buffer]);
    this.message = new Int16Array(MESSAGE_SAMPLES);
    this.nSamples = 0;
  }
}

registerProcessor("microphone", MicrophoneProcessor);
