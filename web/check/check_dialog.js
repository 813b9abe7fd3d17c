// The dialog of the check: three steps, each with what to do, how it went, and what helps where it failed.

import { create } from "/dom.js";
import { withStyles } from "/late.js";

export class CheckDialog {
  element = create("dialog", "check");
  microphone = new Step("Microphone");
  loudspeaker = new Step("Loudspeaker");
  ears = new Step("Say hello");
  microphones = picker("Microphone of the check");
  loudspeakers = picker("Loudspeaker of the check");
  level = create("meter", "check-level");
  again = button("Ask again");
  play = button("Play a sound");
  heard = button("Yes");
  unheard = button("No");
  listen = button("Say hello");
  #question = create("p", "check-question", "Did you hear it?");

  constructor() {
    this.element.setAttribute("aria-labelledby", "check-title");
    const title = create("h2", "", "Check your sound");
    title.id = "check-title";
    this.level.setAttribute("aria-label", "Level of the microphone");
    this.microphone.add(this.microphones, this.level, this.again);
    this.#question.append(" ", this.heard, " ", this.unheard);
    this.loudspeaker.add(this.loudspeakers, this.play, this.#question);
    this.ears.add(this.listen);
    const close = button("Close");
    close.classList.add("primary");
    close.addEventListener("click", () => this.element.close());
    const buttons = create("div", "buttons");
    buttons.append(close);
    this.element.append(title, ...[this.microphone, this.loudspeaker, this.ears].map(({ element }) => element), buttons);
    this.isAsking = false;
    this.again.hidden = true;
  }

  /** Whether it asks if the sound was heard. */
  set isAsking(asking) {
    this.#question.hidden = !asking;
  }

  /** Show it; resolves once it is closed, and leaves nothing of it in the page. */
  async show() {
    await withStyles("/styles/check.css");
    document.body.append(this.element);
    this.element.showModal();
    await new Promise((resolve) => this.element.addEventListener("close", resolve, { once: true }));
    this.element.remove();
  }
}

class Step {
  element = create("section", "check-step");
  #told = create("p", "check-told");

  constructor(name) {
    this.#told.setAttribute("role", "status");
    this.element.append(create("h3", "", name), this.#told);
  }

  add(...elements) {
    this.#told.before(...elements);
  }

  /**
   * @param {string} text - how it went, and what to do about it
   * @param {"" | "good" | "bad"} verdict
   * @param {string} [mend] - a shell command
   */
  tell(text, verdict = "", mend = "") {
    if (this.#told.dataset.text === text && this.element.dataset.verdict === verdict) return;
    this.element.dataset.verdict = verdict;
    this.#told.dataset.text = text;
    this.#told.replaceChildren(text);
    if (mend) this.#told.append(" ", create("code", "", mend));
  }
}

function button(name) {
  const element = create("button", "", name);
  element.type = "button";
  return element;
}

function picker(name) {
  const element = create("select");
  element.setAttribute("aria-label", name);
  return element;
}
