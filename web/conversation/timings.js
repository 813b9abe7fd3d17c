// The times of a conversation's turns, and what can be said about all of them.

/** The parts of a turn's latency in the order in which they pass. */
export const PARTS = [
  { key: "turn_ms", name: "End of turn", told: "deciding that you had finished" },
  { key: "stt_ms", name: "Transcription", told: "writing down your words" },
  { key: "llm_ttft_ms", name: "First token", told: "the model’s first token" },
  { key: "tts_ttfb_ms", name: "First sound", told: "the voice’s first sound" },
];

export class Timings {
  #totalsMs = [];
  nKept = 0;
  nThrownAway = 0;

  /** @param {object} latency - an event; @returns {object | null} it, if it tells the whole time */
  note(latency) {
    if (!Number.isFinite(latency.voice_to_voice_ms)) return null;
    this.#totalsMs.push(latency.voice_to_voice_ms);
    return latency;
  }

  noteSpeculation(outcome) {
    if (outcome === "kept") this.nKept += 1;
    if (outcome === "thrown_away") this.nThrownAway += 1;
  }

  get nTurns() {
    return this.#totalsMs.length;
  }

  /** @returns {number} voice-to-voice time that `percent` of the turns did not exceed; NaN without turns */
  percentileMs(percent) {
    return percentile(this.#totalsMs, percent);
  }
}

/** @returns {number} by nearest rank: always one of the values */
export function percentile(values, percent) {
  const sorted = [...values].sort((one, other) => one - other);
  const rank = Math.ceil((percent / 100) * sorted.length);
  return sorted[Math.max(rank, 1) - 1] ?? NaN;
}

/**
 * @returns {{name: string, startMs: number, ms: number}[]} one after the other; what no part accounts for comes last.
 *   With an answer prepared in advance the parts overlap and may add up to more than the whole.
 */
export function waterfall(latency) {
  const known = PARTS.filter(({ key }) => Number.isFinite(latency[key]));
  let startMs = 0;
  const spans = known.map(({ key, name }) => {
    const span = { key, name, startMs, ms: Math.max(0, latency[key]) };
    startMs += span.ms;
    return span;
  });
  const restMs = latency.voice_to_voice_ms - startMs;
  return restMs > 0 ? [...spans, { key: "rest_ms", name: "Everything else", startMs, ms: restMs }] : spans;
}

/** @returns {string} the whole and its parts in words */
export function describeLatency(latency) {
  const parts = waterfall(latency).map(({ name, ms }) => `${name.toLowerCase()} ${describeDuration(ms)}`);
  return `Answered in ${describeDuration(latency.voice_to_voice_ms)}: ${parts.join(", ")}.`;
}

/** @returns {string} such as "742 ms" or "1.2 s"; a dash for no number */
export function describeDuration(ms) {
  if (!Number.isFinite(ms)) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
