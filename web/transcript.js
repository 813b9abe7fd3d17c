// The conversation's items as a list: each item keeps its element, and only what changed is drawn.

import { create, setText } from "/dom.js";
import { describeStage } from "/engines.js";

const DRAW = { user: drawUser, agent: drawAgent, notice: drawNotice };
const NEAR_END_PX = 160;

export class Transcript {
  #list;
  #elements = new Map();

  /** @param {HTMLOListElement} list */
  constructor(list) {
    this.#list = list;
  }

  /** @param {object[]} items - of a Conversation */
  draw(items) {
    const page = document.scrollingElement;
    const wasAtEnd = page.scrollHeight - page.scrollTop - page.clientHeight < NEAR_END_PX;
    this.#dropAllBut(new Set(items));
    items.forEach((item, at) => {
      const element = this.#elementOf(item);
      if (this.#list.children[at] !== element) this.#list.insertBefore(element, this.#list.children[at] ?? null);
      DRAW[item.role](element, item);
    });
    // A reader who has scrolled back stays where they are.
    if (wasAtEnd && items.length > 0) page.scrollTop = page.scrollHeight;
  }

  #dropAllBut(kept) {
    for (const [item, element] of this.#elements) {
      if (kept.has(item)) continue;
      element.remove();
      this.#elements.delete(item);
    }
  }

  #elementOf(item) {
    if (!this.#elements.has(item)) this.#elements.set(item, create("li", `item ${item.role}`));
    return this.#elements.get(item);
  }
}

function drawUser(element, { text, partial }) {
  part(element, "who", "You");
  part(element, "said", text);
  part(element, "partial", partial);
  part(element, "note", partial ? "still listening" : "");
}

function drawAgent(element, { text, unsaid, isInterrupted, latencyMs }) {
  part(element, "who", "Agent");
  part(element, "said", text);
  part(element, "note", isInterrupted ? (unsaid ? "interrupted, not said:" : "interrupted") : "");
  part(element, "unsaid", unsaid, "s");
  part(element, "latency", latencyMs === null ? "" : `answered in ${describeDuration(latencyMs)}`);
}

function drawNotice(element, { stage, text }) {
  setText(element, stage ? `${describeStage(stage)}: ${text}` : text);
}

/** One part of an item: made when first needed, in the order of the calls, and hidden while it is empty. */
function part(item, name, text, tag = "span") {
  let element = item.querySelector(`:scope > .${name}`);
  if (element === null) {
    element = create(tag, name);
    if (item.childElementCount > 0) item.append(" ");
    item.append(element);
  }
  setText(element, text);
  element.hidden = text === "";
}

function describeDuration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
