// Settings of a call that goes on: the server takes them, or says in one line why not, and the old ones stay.

import { Problem } from "/problem.js";

export class LiveChanges {
  #session;
  #handlers;
  // What the server has taken so far, while it is asked for something else.
  #taken = null;
  #asked = null;

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
    this.#asked = options;
    this.#session.send({ type: "settings", options });
  }

  /** @param {object} event - one line of the event log */
  apply({ event, message, needs_call: needsCall }) {
    if (event === "session_started") this.#taken = this.#asked = null;
    if (event === "settings_changed") {
      this.#taken = this.#asked = null;
      this.#handlers.onChanged();
    }
    if (event !== "settings_refused") return;
    const [taken, asked] = [this.#taken ?? {}, this.#asked];
    this.#taken = this.#asked = null;
    if (needsCall === true && asked !== null) return this.#session.rejoin();
    const words = typeof message === "string" ? message : "the server refused them";
    this.#handlers.onRefused(taken, new Problem(`The settings stay as they were: ${words}.`));
  }
}
