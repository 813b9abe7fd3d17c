// Settings of a call that goes on: the server takes them, or says in one line why not, and the old ones stay.

import { Problem } from "/problem.js";

export class LiveChanges {
  #session;
  #handlers;
  // What is in force while the server is asked for something else, what it is asked for, and what comes after that.
  #taken = null;
  #asked = null;
  #next = null;

  /**
   * @param {Session} session
   * @param {{onRefused: (options: object, problem: Problem) => void, onChanged: () => void}} handlers - onRefused: the
   *   options that are in force
   */
  constructor(session, handlers) {
    this.#session = session;
    this.#handlers = handlers;
  }

  /**
   * Change the call's settings; one that is being opened is joined with them.
   *
   * @param {object} options - {setting: value}, all of them
   * @param {object} before - those of now
   */
  ask(options, before) {
    if (this.#session.phase !== "joined") return this.#session.rejoin();
    this.#taken ??= before;
    // One after the other, for each is answered; of several that wait the newest.
    if (this.#asked === null) this.#send(options);
    else this.#next = options;
  }

  /** The call is over: nothing is answered any more. */
  hangUp() {
    this.#taken = this.#asked = this.#next = null;
  }

  /** @param {object} event - one line of the event log */
  apply({ event, message, needs_call: needsCall }) {
    if (event === "settings_changed") this.#goOn(this.#asked);
    if (event === "settings_changed") this.#handlers.onChanged();
    if (event !== "settings_refused" || this.#asked === null) return;
    if (needsCall === true) return this.#session.rejoin();
    // What was chosen since then holds what was refused, or mends it: its own answer counts.
    if (this.#next !== null) return this.#goOn(this.#taken);
    const taken = this.#taken;
    this.hangUp();
    const words = typeof message === "string" ? message : "the server refused them";
    this.#handlers.onRefused(taken, new Problem(`The settings stay as they were: ${words}.`));
  }

  #goOn(taken) {
    const next = this.#next;
    this.hangUp();
    if (next === null) return;
    this.#taken = taken;
    this.#send(next);
  }

  #send(options) {
    this.#asked = options;
    this.#session.send({ type: "settings", options });
  }
}
