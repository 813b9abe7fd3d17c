// The message box: Enter sends, Shift+Enter breaks the line.

import { byId } from "/dom.js";

export class Composer {
  #box = byId("message");
  /** @type {() => string} what is asked where nothing was written */
  standIn = () => "";

  /** @param {(text: string) => void} onSend */
  constructor(onSend) {
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.#box.value.trim() || this.standIn();
      if (text === "" || byId("send").disabled) return;
      this.#box.value = "";
      onSend(text);
    });
    this.#box.addEventListener("keydown", (event) => {
      // Enter also ends a composition, of Japanese for one.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      byId("composer").requestSubmit();
    });
  }

  set isEnabled(enabled) {
    byId("send").disabled = !enabled;
  }

  /** Give back what could not be sent, before what is being written. */
  restore(text) {
    if (text !== "") this.#box.value = this.#box.value === "" ? text : `${text}\n${this.#box.value}`;
  }
}
