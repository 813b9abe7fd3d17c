// Counts the seconds down to the next attempt to come back. Not for screen readers: they would be told every second.

import { setText } from "/dom.js";

const TICK_MS = 250;

export class Countdown {
  #element;
  #untilMs = 0;
  #timer = 0;

  /** @param {HTMLElement} element - holds the seconds */
  constructor(element) {
    this.#element = element;
  }

  /** @param {number} untilMs - as Date.now(); 0: nothing is waited for */
  follow(untilMs) {
    this.#untilMs = untilMs;
    this.#draw();
    if (untilMs > 0) this.#timer ||= setInterval(() => this.#draw(), TICK_MS);
    else this.#timer = clearInterval(this.#timer) ?? 0;
  }

  #draw() {
    const secs = Math.max(0, Math.ceil((this.#untilMs - Date.now()) / 1000));
    setText(this.#element, this.#untilMs > 0 ? `next try in ${secs} s` : "");
  }
}
