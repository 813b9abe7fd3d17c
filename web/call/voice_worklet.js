// The agent's voice on the audio thread: s16 messages in, at the context's own rate; steady sound out.

// What is gathered before sound begins, so that a late message leaves no hole.
const JITTER_SECS = 0.06;
// A cut without a click.
const FADE_SECS = 0.005;
// More than any network holds back before the call is given up.
const MAX_WAITING_SECS = 20;

/** Messages: an ArrayBuffer of s16 is played after what waits; null drops what waits. */
class VoiceProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.blocks = [];
    // Samples of the first block that have been played.
    this.nPlayed = 0;
    this.nWaiting = 0;
    this.isPlaying = false;
    this.nSinceFirst = 0;
    this.port.onmessage = ({ data }) => (data === null ? this.clear() : this.add(new Int16Array(data)));
  }

  add(block) {
    if (this.nWaiting > MAX_WAITING_SECS * sampleRate) return;
    this.blocks.push(Float32Array.from(block, (sample) => sample / 32_768));
    this.nWaiting += block.length;
  }

  clear() {
    const fade = new Float32Array(this.isPlaying ? Math.min(this.nWaiting, Math.round(FADE_SECS * sampleRate)) : 0);
    this.take(fade);
    this.blocks = [fade.map((sample, index) => sample * (1 - (index + 1) / fade.length))];
    this.nPlayed = 0;
    this.nWaiting = fade.length;
  }

  process(_inputs, [[output]]) {
    if (!this.isPlaying && this.nWaiting > 0) {
      this.nSinceFirst += output.length;
      const enough = JITTER_SECS * sampleRate;
      // An utterance may be shorter than what is gathered.
      this.isPlaying = this.nWaiting >= enough || this.nSinceFirst >= enough;
    }
    if (!this.isPlaying) return true;
    this.take(output);
    if (this.nWaiting === 0) {
      this.isPlaying = false;
      this.nSinceFirst = 0;
    }
    return true;
  }

  /** Fill with the sound that waits; what is missing stays silent. */
  take(target) {
    let nTaken = 0;
    while (nTaken < target.length && this.blocks.length > 0) {
      const [block] = this.blocks;
      const piece = block.subarray(this.nPlayed, this.nPlayed + target.length - nTaken);
      target.set(piece, nTaken);
      nTaken += piece.length;
      this.nPlayed += piece.length;
      if (this.nPlayed === block.length) {
        this.blocks.shift();
        this.nPlayed = 0;
      }
    }
    this.nWaiting -= nTaken;
  }
}

registerProcessor("voice", VoiceProcessor);
