// What the agent says as it was written: Markdown, in which the words are marked as they are heard.

import { create } from "/dom.js";
import { renderMarkdown } from "/conversation/markdown.js";
import { placesIn } from "/conversation/written_places.js";

/** One spoken answer on the page; each text that is rendered is parted anew only where what is heard of it changes. */
export class WrittenSpeech {
  #place;
  #replies = [];

  /** @param {HTMLElement} place - holds the answer */
  constructor(place) {
    this.#place = place;
    place.replaceChildren();
  }

  /**
   * @param {{text: string, start: number, end: number}[]} replies - what was written, one after another; start, end: of
   *   the word that was heard last, in Unicode characters; what lies behind it is to come
   * @param {"speaking" | "waiting" | "cut" | "heard"} state - waiting: no word is spoken now; heard: all of it
   */
  draw(replies, state) {
    const latest = Math.max(0, replies.findLastIndex(({ end }) => end > 0));
    replies.forEach((reply, n) => this.#replyAt(n).draw(reply, n < latest ? "heard" : state));
  }

  #replyAt(n) {
    if (!this.#replies[n]) {
      this.#replies[n] = new WrittenReply();
      this.#place.append(this.#replies[n].element);
    }
    return this.#replies[n];
  }
}

class WrittenReply {
  element = create("div", "reply");
  #source = null;
  #texts = [];

  draw({ text, start, end }, state) {
    if (text !== this.#source) this.#render(text);
    const code = state === "speaking" ? this.#codeNamedBy(start, end) : null;
    for (const shown of this.#texts) {
      if (shown.isCode) shown.block.classList.toggle("now", shown === code);
      else drawText(shown, start, end, state);
    }
  }

  #render(text) {
    this.#source = text;
    this.element.replaceChildren(renderMarkdown(text));
    this.#texts = placesIn(this.element, text).map(({ node, places, isCode }) => {
      if (isCode) return { places, isCode, block: node.parentElement.closest(".code") };
      const part = create("span");
      node.replaceWith(part);
      part.append(node.data);
      return { part, places, isCode, data: node.data, drawn: "" };
    });
  }

  /** Code is not read out; the words that stand for it say nothing else. */
  #codeNamedBy(start, end) {
    if (end === 0) return null;
    const next = this.#texts.findIndex(({ places }) => places.at(-1) >= start);
    const shown = this.#texts[next];
    return shown?.isCode && (start === end || shown.places[0] >= start) ? shown : null;
  }
}

/** Heard; the word that is heard now; and the rest. */
function drawText(shown, start, end, state) {
  const { part, places, data } = shown;
  const to = state === "heard" ? data.length : firstAt(places, end);
  const from = state === "speaking" ? Math.min(to, firstAt(places, start)) : to;
  const wanted = [from, to, state === "cut"].join();
  if (wanted === shown.drawn) return;
  shown.drawn = wanted;
  part.replaceChildren(data.slice(0, from));
  if (to > from) part.append(create("mark", "", data.slice(from, to)));
  const rest = data.slice(to).trimStart();
  part.append(data.slice(to, data.length - rest.length));
  if (rest) part.append(state === "cut" ? create("s", "unsaid", rest) : create("span", "ahead", rest));
}

function firstAt(places, place) {
  const index = places.findIndex((one) => one >= place);
  return index < 0 ? places.length : index;
}
