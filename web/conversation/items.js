// The items of a conversation, in their order: added, found and dropped. No DOM.

/**
 * all, in the order of the conversation:
 *   {id, role: "user", text, partial, isTyped, isPending, isEarlier, nPictures}
 *       partial: words that may still change; isPending: typed, and not yet taken by the server;
 *       nPictures: that it was asked with, see pictures.js
 *   {id, role: "agent", text, ahead, unsaid, replies, isInterrupted, isWritten, isStreaming, isEarlier, latency, answering}
 *       text: heard words, or Markdown if isWritten; ahead: about to be spoken; unsaid: planned, but cut off;
 *       replies: what was written for them, {id, text, start, end}: Markdown, and the characters (Unicode) of the word
 *       that was heard last; isEarlier: from before this page was opened; answering: {model, why}, which of two models
 *       answers and by which rule, else null
 *   {id, role: "tool", ...}                                       see tool_calls.js
 *   {id, role: "picture", ...}                                    see pictures.js
 *   {id, role: "notice", stage, text}                             stage: of an error, as in `engines`; else ""
 */
export class Items {
  all = [];
  #nextId = 0;

  /** @param {object} item @param {number} [at] - where; default: at the end @returns {object} as it stands there */
  add(item, at = this.all.length) {
    const added = { id: this.#nextId++, ...item };
    this.all.splice(at, 0, added);
    return added;
  }

  /** @param {?object} next - what it comes before; null: nothing */
  addBefore(next, item) {
    return this.add(item, next ? this.all.indexOf(next) : this.all.length);
  }

  addUser(known) {
    return this.add({ role: "user", text: "", partial: "", isTyped: false, isPending: false, isEarlier: false, nPictures: 0, ...known });
  }

  /** @param {?object} next - a user's turn that is still open comes after what the agent says now */
  addAgent(next, known) {
    const item = { role: "agent", text: "", ahead: "", unsaid: "", replies: [], isInterrupted: false, isWritten: false };
    return this.addBefore(next, { ...item, isStreaming: false, isEarlier: false, latency: null, answering: null, ...known });
  }

  remove(item) {
    this.all = this.all.filter((kept) => kept !== item);
  }

  /** What was said before this page was opened. */
  recall(role, text) {
    if (role === "assistant") this.addAgent(null, { text, isWritten: true, isEarlier: true });
    else this.addUser({ text, isEarlier: true });
  }

  /** @returns {{text: string, later: number}} which of the user's turns an item is: its words, and how many came after it */
  pointOf(item) {
    const turns = this.#turns();
    return { text: item.text, later: turns.length - 1 - turns.indexOf(item) };
  }

  /** A turn goes, with all that comes after it. @param {object} point - of `pointOf` */
  goBack({ text, later }) {
    const turns = this.#turns();
    const meant = turns.at(-1 - later);
    const first = meant?.text === text ? meant : turns.findLast((item) => item.text === text);
    if (first) this.all = this.all.slice(0, this.all.indexOf(first));
  }

  /** @returns {object[]} what the server has not taken; it stands here no more */
  takePending() {
    const pending = this.all.filter(({ isPending }) => isPending);
    this.all = this.all.filter(({ isPending }) => !isPending);
    return pending;
  }

  clear() {
    this.all = [];
  }

  #turns() {
    return this.all.filter(({ role, isPending }) => role === "user" && !isPending);
  }
}
