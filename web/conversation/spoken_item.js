// What happens to an item of the agent's while it is spoken: words planned, written, heard, and cut off.

import { advance, join, remainder, words } from "/conversation/words.js";

/** @param {object} item - the agent's, of a Conversation @param {string} text - about to be spoken */
export function plan(item, text) {
  item.ahead = join(item.ahead, text);
}

/** @returns {boolean} whether an event holds a piece of what is spoken */
export function isPieceOfReply({ reply, text }) {
  return Number.isInteger(reply) && typeof text === "string";
}

/** @param {{reply: number, text: string}} written - a piece of the Markdown that the words are made from */
export function noteWritten({ replies }, { reply, text }) {
  if (replies.at(-1)?.id !== reply) replies.push({ id: reply, text: "", start: 0, end: 0 });
  replies.at(-1).text += text;
}

/** @param {string} word - heard @param {{reply?: number, written?: number[]}} place - where it was written */
export function say(item, word, { reply, written }) {
  const said = item.replies.find(({ id }) => id === reply);
  if (said) [said.start, said.end] = written;
  item.text = join(item.text, word);
  if (item.ahead) item.ahead = word.split(/\s+/).reduce(advance, item.ahead);
}

/** @param {string} heard @param {string} planned - with what was not heard @param {boolean} wasSpeaking */
export function cut(item, heard, planned, wasSpeaking) {
  item.text = heard || item.text;
  item.unsaid = remainder(planned, item.text) || item.ahead;
  item.isInterrupted = wasSpeaking || item.unsaid !== "";
}

/** @returns {?{model: string, why: string}} which of two language models answers, and why; null where there is one */
export function answeringOf({ model, why }) {
  return words(model) ? { model: words(model), why: words(why) } : null;
}
