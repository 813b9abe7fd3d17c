// What the agent says, word by word: heard, being spoken, and about to be spoken.

import { setText } from "/dom.js";

/**
 * @param {HTMLElement} said - holds the heard words; the newest is marked while it is spoken
 * @param {HTMLElement} ahead - holds the words that are still to come
 * @param {object} item - the agent's, of a Conversation
 * @param {boolean} isSpeaking
 */
export function drawSpeech(said, ahead, item, isSpeaking) {
  const at = isSpeaking ? item.text.lastIndexOf(" ") + 1 : item.text.length;
  const newest = item.text.slice(at);
  said.replaceChildren(item.text.slice(0, at));
  if (newest) {
    const mark = document.createElement("mark");
    setText(mark, newest);
    said.append(mark);
  }
  setText(ahead, item.ahead);
  ahead.hidden = item.ahead === "";
}
