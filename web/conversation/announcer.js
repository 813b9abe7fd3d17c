// What a screen reader is told: only while neither side speaks, so that it never talks over the agent or the user.

const QUIET = new Set([
  ...["starting", "away", "idle", "connecting", "waiting"],
  ...["asleep", "listening", "muted", "thinking", "writing"],
]);

export class Announcer {
  #region;
  #waiting = [];
  #isQuiet = true;

  /** @param {HTMLElement} region - a polite live region */
  constructor(region) {
    this.#region = region;
  }

  /** @param {string} text - told now, or when the sound is over */
  say(text) {
    if (text) this.#waiting.push(text);
    this.#tell();
  }

  /** @param {string} state - of the page */
  follow(state) {
    this.#isQuiet = QUIET.has(state);
    this.#tell();
  }

  #tell() {
    if (!this.#isQuiet || this.#waiting.length === 0) return;
    this.#region.textContent = this.#waiting.splice(0).join(" ");
  }
}
