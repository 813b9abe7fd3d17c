// The items of a conversation, in their order: added, found and dropped. No DOM.

/**
 * all, in the order of the conversation:
 *   {id, role: "user", text, partial, isTyped, isPending}
 *       partial: words that may still change; isPending: typed, and not yet taken by the server
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
    return this.add({ role: "user", text: "", partial: "", isTyped: false, isPending: false, ...known });
  }

  /** @param {?object} next - a user's turn that is still open comes after what the agent says now */
  addAgent(next, known) {
    const item = { role: "agent", text: "", ahead: "", unsaid: "", replies: [], isInterrupted: false, isWritten: false };
    return this.addBefore(next, { ...item, isStreaming: false, isEarlier: false, latency: null, answering: null, ...known });
  }

  remove(item) {
    this.all = this.all.filter((kept) => kept !== item);
  }

  clear() {
    this.all = [];
  }
}
