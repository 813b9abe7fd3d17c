// The conversation's items as a list: each item keeps its element, and only what changed is drawn.

import { create, part, scrollerOf, setText } from "/dom.js";
import { describeStage } from "/conversation/engines.js";
import { renderMarkdown } from "/conversation/markdown.js";
import { drawActions } from "/conversation/message_actions.js";
import { drawPicture } from "/conversation/picture_item.js";
import { attachedTo } from "/conversation/pictures.js";
import { drawSpeech } from "/conversation/speech.js";
import { drawTool } from "/conversation/tool_item.js";
import { drawTurnTime } from "/conversation/waterfall.js";
import { WrittenSpeech } from "/conversation/written_speech.js";

const DRAW = { user: drawUser, agent: drawAgent, notice: drawNotice, tool: drawTool, picture: drawPicture };
// Why one of two language models answered, where that is not as usual; `why` of the event log.
const REASONS = {
  image: "for the image",
  code: "for code",
  long: "for a long turn",
  tool: "for a tool",
  failover: "in place of the other one, which failed",
  resting: "in place of the other one, which failed lately",
};
const NEAR_END_PX = 160;
// So many are compared in full; what is said in older ones no longer changes but by another text.
const N_FRESH = 40;
// Items stand in groups of so many: the browser passes over a group that is out of sight, however long the conversation is.
const GROUP = 20;
// What a tool did can be taken back late, and a picture be long in coming.
const LATE = new Set(["tool", "picture"]);
const speeches = new WeakMap();

export class Transcript {
  #list;
  #elements = new Map();
  #drawn = new WeakMap();
  #fields = new WeakMap();
  #items = null;
  #nDrawn = 0;
  #isAtEnd = true;
  #top = 0;

  /** @param {HTMLElement} list - empty */
  constructor(list) {
    this.#list = list;
    // A reader who has scrolled back stays where they are; the others see the newest words, however the page changes.
    addEventListener("scroll", () => this.#lookWhere(), { capture: true, passive: true });
    const follow = new ResizeObserver(() => this.#isAtEnd && this.#elements.size > 0 && this.#goToEnd());
    const section = list.parentElement;
    for (const resized of [...section.children, section, section.parentElement]) follow.observe(resized);
  }

  /**
   * @param {object[]} items - of a Conversation; the same array as long as items are only added
   * @param {boolean} isSpeaking - whether the newest heard word is being spoken now
   */
  draw(items, isSpeaking) {
    const isLonger = items === this.#items;
    if (!isLonger) this.#dropAllBut(new Set(items));
    // What is only added stands near the end, where what changes does.
    const from = isLonger ? Math.max(0, this.#nDrawn - N_FRESH) : 0;
    const speaking = isSpeaking ? items.findLast(({ role }) => role === "agent") : null;
    items.forEach((item, at) => {
      if (at < from && !LATE.has(item.role)) return;
      this.#place(this.#elementOf(item), at > 0 ? this.#elementOf(items[at - 1]) : null);
      this.#drawItem(item, item === speaking, at >= items.length - N_FRESH);
    });
    this.#items = items;
    this.#nDrawn = items.length;
  }

  #lookWhere() {
    const page = scrollerOf(this.#list);
    const isNear = page.scrollHeight - page.scrollTop - page.clientHeight < NEAR_END_PX;
    // What was added since the page last went to its end is no sign of a reader: going back is.
    if (isNear || page.scrollTop < this.#top) this.#isAtEnd = isNear;
    this.#top = page.scrollTop;
  }

  #goToEnd() {
    const page = scrollerOf(this.#list);
    page.scrollTop = page.scrollHeight;
    this.#top = page.scrollTop;
  }

  /** Put it behind the one before it; a new group begins where the last one is full. */
  #place(element, before) {
    if (element.isConnected && elementBefore(element) === before) return;
    const group = before === null ? this.#list.firstElementChild : before.parentElement;
    const isFull = group?.childElementCount >= GROUP && group.lastElementChild === before && group === this.#list.lastElementChild;
    if (group === null || isFull) this.#list.appendChild(create("div", "group")).append(element);
    else if (before === null) group.prepend(element);
    else before.after(element);
  }

  #drawItem(item, isSpeaking, isFresh) {
    const element = this.#elementOf(item);
    if (!isFresh && this.#isSettled(item)) return;
    const wanted = JSON.stringify([item, isSpeaking]);
    if (this.#drawn.get(item) === wanted) return;
    this.#drawn.set(item, wanted);
    DRAW[item.role](element, item, isSpeaking);
    if (item.role === "user" || item.role === "agent") drawActions(element, item);
  }

  /** Cheaper than to compare all of it: a long conversation has many. */
  #isSettled(item) {
    if (item.role !== "user" && item.role !== "agent") return false;
    const [before, now] = [this.#fields.get(item), Object.values(item)];
    this.#fields.set(item, now);
    return before !== undefined && now.every((value, n) => value === before[n]);
  }

  #dropAllBut(kept) {
    for (const [item, element] of this.#elements) {
      if (kept.has(item)) continue;
      const group = element.parentElement;
      element.remove();
      if (group.childElementCount === 0) group.remove();
      this.#elements.delete(item);
    }
  }

  #elementOf(item) {
    if (!this.#elements.has(item)) {
      const element = create("div", `item ${item.role}`);
      element.setAttribute("role", "listitem");
      element.dataset.item = item.id;
      this.#elements.set(item, element);
    }
    return this.#elements.get(item);
  }
}

function elementBefore(element) {
  return element.previousElementSibling ?? element.parentElement.previousElementSibling?.lastElementChild ?? null;
}

function drawUser(element, item) {
  const { text, partial, isTyped, isPending, isEarlier, nPictures } = item;
  element.classList.toggle("typed", isTyped);
  // Of what was said before the page was opened it is not known.
  element.classList.toggle("heard", !isTyped && !isEarlier);
  fill(element, "who", "You");
  fill(element, "said", text);
  if (nPictures > 0) drawAttached(part(element, "pictures", "div"), attachedTo(item));
  fill(element, "partial", partial);
  fill(element, "note", partial ? "still listening" : isPending ? "sending…" : "");
}

function drawAttached(place, pictures) {
  if (place.childElementCount > 0) return;
  const images = pictures.map(({ url }, n) => Object.assign(create("img"), { src: url, alt: `Picture ${n + 1}` }));
  place.replaceChildren(...images);
}

function drawAgent(element, item, isSpeaking) {
  const { text, unsaid, replies, isInterrupted, isWritten, isStreaming, latency, answering } = item;
  const isWrittenSpeech = !isWritten && replies.length > 0;
  element.classList.toggle("written", isWritten);
  element.setAttribute("aria-busy", String(isStreaming));
  fill(element, "who", "Agent");
  const said = part(element, "said", isWritten || isWrittenSpeech ? "div" : "span");
  if (isWritten) said.replaceChildren(renderMarkdown(text));
  else if (isWrittenSpeech) drawWrittenSpeech(said, item, isSpeaking);
  else drawSpeech(said, part(element, "ahead"), item, isSpeaking);
  const isStruck = said.querySelector("s.unsaid") !== null;
  const rest = isStruck ? "interrupted, not said: what is struck out" : unsaid ? "interrupted, not said:" : "interrupted";
  fill(element, "note", isInterrupted ? rest : "");
  fill(element, "unsaid", isStruck ? "" : unsaid, "s");
  fill(element, "answering", answering ? describeModel(answering) : "");
  drawTurnTime(part(element, "latency"), latency);
}

function drawWrittenSpeech(said, { replies, ahead, isInterrupted }, isSpeaking) {
  said.parentElement.querySelector(":scope > .ahead")?.remove();
  if (!speeches.has(said)) speeches.set(said, new WrittenSpeech(said));
  const rest = ahead === "" ? "heard" : "waiting";
  speeches.get(said).draw(replies, isInterrupted ? "cut" : isSpeaking ? "speaking" : rest);
}

/** @returns {string} which model answers, and the rule that chose it */
function describeModel({ model, why }) {
  return Object.hasOwn(REASONS, why) ? `${model}, ${REASONS[why]}` : model;
}

function drawNotice(element, { stage, text }) {
  setText(element, stage ? `${describeStage(stage)}: ${text}` : text);
}

/** One part of an item, hidden while it is empty. */
function fill(item, name, text, tag = "span") {
  const element = part(item, name, tag);
  setText(element, text);
  element.hidden = text === "";
}
