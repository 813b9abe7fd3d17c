// What the server says about itself: asked until it is ready.

import { fetchHealth, fetchOptions } from "/server.js";

const POLL_MS = 1_000;

/**
 * health: of /health, null until it is known
 * offer: of /api/options, null if unknown or if the server has none
 * problem: why the server cannot be asked, null if it can
 * offerProblem: why its options cannot be had, "" if they can
 */
export class ServerWatch {
  health = null;
  offer = null;
  problem = null;
  offerProblem = "";
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
  }

  get isStarting() {
    return this.health?.status === "starting";
  }

  async follow() {
    for (;;) {
      await this.#askHealth();
      this.#onChange();
      if (this.health?.status === "ready") return this.askOptions();
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** A server that was started anew may have other engines and options. */
  async refresh() {
    await this.#askHealth();
    await this.askOptions();
  }

  async askOptions() {
    try {
      this.offer = await fetchOptions();
      this.offerProblem = this.offer === null ? "This server offers no further settings." : "";
    } catch (error) {
      this.offerProblem = `The server’s settings could not be had. ${error.message}`;
    }
    this.#onChange();
  }

  async #askHealth() {
    try {
      this.health = await fetchHealth();
      this.problem = null;
    } catch (error) {
      // Said once: a new Problem every second would be announced every second.
      this.problem ??= error;
    }
  }
}
