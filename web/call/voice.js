// The agent's voice: played as soon as it comes, on the loudspeaker that was chosen.

import { asProblem } from "/problem.js";

const OUTPUTS_CAN_BE_CHOSEN = "setSinkId" in HTMLMediaElement.prototype;

/** isHeld: the browser wants the person to press a button before it plays any sound */
export class Voice {
  isHeld = false;
  #element;
  #handlers;
  #loudspeakerId;

  /** @param {HTMLAudioElement} element @param {{onChange: () => void, onProblem: (problem: Problem) => void}} handlers */
  constructor(element, loudspeakerId, handlers) {
    this.#element = element;
    this.#loudspeakerId = loudspeakerId;
    this.#handlers = handlers;
  }

  /** @param {MediaStream | null} stream - null: the call is over */
  async follow(stream) {
    this.#element.srcObject = stream;
    if (stream === null) this.isHeld = false;
    else await this.play();
  }

  async play() {
    try {
      await this.#useLoudspeaker();
      await this.#element.play();
      this.isHeld = false;
    } catch (error) {
      this.isHeld = error.name === "NotAllowedError";
      // AbortError: the call ended before the sound began.
      if (!this.isHeld && error.name !== "AbortError") {
        this.#handlers.onProblem(asProblem(error, "The agent’s voice cannot be played"));
      }
    }
    this.#handlers.onChange();
  }

  /** @param {string} id - of an output device; "" for the browser's own choice */
  async moveTo(id) {
    this.#loudspeakerId = id;
    try {
      await this.#useLoudspeaker();
    } catch (error) {
      this.#handlers.onProblem(asProblem(error, "The loudspeaker could not be changed"));
    }
  }

  async #useLoudspeaker() {
    if (!OUTPUTS_CAN_BE_CHOSEN || this.#element.sinkId === this.#loudspeakerId) return;
    try {
      await this.#element.setSinkId(this.#loudspeakerId);
    } catch (error) {
      // One that was unplugged: the browser's own is used until another is chosen.
      if (error.name !== "NotFoundError") throw error;
      await this.#element.setSinkId("");
    }
  }
}
