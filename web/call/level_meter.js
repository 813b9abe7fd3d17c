// How loud each side is, drawn a few times a second; nothing runs while nobody listens, or where motion is unwanted.

const DRAW_MS = 60;
// The quietest that is drawn; 0 dBFS fills the meter.
const FLOOR_DBFS = -60;
// What shows the levels, and nothing else: a property of the body would restyle the whole conversation each time.
const SHOWN_IN = document.querySelector(".floor");
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

/** levels: of both sides, 0 to 1, as they were drawn last */
export class LevelMeters {
  levels = { you: 0, agent: 0 };
  #context = null;
  #sources = new Map();
  #timer = 0;

  /**
   * @param {string} side - name of a style property: --you-level, --agent-level
   * @param {MediaStream | null} stream - null: that side is silent from now on
   */
  follow(side, stream) {
    this.#sources.get(side)?.source.disconnect();
    this.#sources.delete(side);
    this.#show(side, 0);
    if (stream !== null && !STILL.matches) this.#listen(side, stream);
    if (this.#sources.size === 0) this.#rest();
  }

  #listen(side, stream) {
    this.#context ??= new AudioContext();
    const source = this.#context.createMediaStreamSource(stream);
    const analyser = new AnalyserNode(this.#context, { fftSize: 1024 });
    source.connect(analyser);
    this.#sources.set(side, { source, analyser, samples: new Float32Array(analyser.fftSize) });
    this.#timer ||= setInterval(() => this.#draw(), DRAW_MS);
  }

  #draw() {
    if (document.hidden) return;
    for (const [side, { analyser, samples }] of this.#sources) {
      analyser.getFloatTimeDomainData(samples);
      this.#show(side, levelOf(samples));
    }
  }

  #show(side, level) {
    this.levels[side] = level;
    SHOWN_IN.style.setProperty(`--${side}-level`, level.toFixed(3));
  }

  #rest() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#context?.close();
    this.#context = null;
  }
}

/** @returns {number} 0 (quieter than the floor) to 1 (full scale) */
function levelOf(samples) {
  const meanSquare = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  const dbfs = 10 * Math.log10(meanSquare + 1e-12);
  return Math.min(1, Math.max(0, 1 - dbfs / FLOOR_DBFS));
}
