// One thing that the agent does, drawn: a line that opens to what it was given and what came of it; all of it is text.

import { create, part, setText } from "/dom.js";
import { describeDuration } from "/conversation/timings.js";
import { inALine } from "/conversation/tool_calls.js";

const STATES = {
  running: "running…",
  asked: "waiting for your yes",
  done: "done",
  failed: "failed",
  cancelled: "cancelled",
  unknown: "not known: the call ended before",
};
const MAX_LINE_CHARS = 80;

/** @returns {string} its state in words, with the time that it took */
export function describeTool({ state, ms, undo }) {
  if (undo?.state === "done") return "taken back";
  const isTimed = ms !== null && (state === "done" || state === "failed");
  return isTimed ? `${STATES[state]} in ${describeDuration(ms)}` : STATES[state];
}

/** @param {HTMLElement} element - an item of the list @param {object} item - of ToolCalls */
export function drawTool(element, item) {
  const { name, given, result, state, undo } = item;
  element.dataset.tool = undo?.state === "done" ? "undone" : state;
  const details = part(element, "call", "details");
  const summary = part(details, "doing", "summary");
  setText(part(summary, "tool-name"), name);
  setText(part(summary, "given"), shorten(inALine(given)));
  setText(part(summary, "tool-state"), describeTool(item));
  const more = part(details, "more", "div");
  drawText(more, "arguments", "What it was given", Object.keys(given).length ? asText(given) : "");
  drawText(more, "result", "What came of it", result === undefined ? "" : asText(result));
  drawUndo(element, summary, name, given, undo);
}

/** @param {HTMLElement} list - of items @param {(mark: string) => void} onUndo */
export function listenToUndo(list, onUndo) {
  list.addEventListener("click", ({ target }) => {
    const button = target.closest("button.undo");
    if (button && !button.ariaDisabled) onUndo(button.dataset.mark);
  });
}

/** @returns {string} what a screen reader is told of an undo that is over, else "" */
export function describeUndo({ state, error }) {
  if (state === "done") return "Taken back.";
  return state === "failed" ? `Not taken back: ${error ?? "it failed"}.` : "";
}

function drawUndo(element, summary, name, given, undo) {
  const button = part(element, "undo", "button");
  const isOffered = undo?.state === "offered" || undo?.state === "asked";
  // What vanishes must not take the keyboard with it.
  if (!isOffered && button === document.activeElement) summary.focus();
  button.hidden = !isOffered;
  button.type = "button";
  button.classList.add("quiet");
  button.dataset.mark = undo?.mark ?? "";
  button.ariaDisabled = undo?.state === "asked" ? "true" : null;
  button.ariaLabel = `Take back: ${name} ${shorten(inALine(given))}`;
  setText(button, undo?.state === "asked" ? "Taking back…" : "Take back");
  const note = part(element, "note");
  setText(note, undo?.state === "failed" ? describeUndo(undo) : "");
  note.hidden = undo?.state !== "failed";
}

function drawText(more, kind, title, text) {
  const place = part(more, kind, "div");
  place.hidden = text === "";
  setText(part(place, "title"), title);
  setText(part(place, "text", "pre"), text);
}

function asText(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function shorten(text) {
  const characters = [...text];
  return characters.length > MAX_LINE_CHARS ? `${characters.slice(0, MAX_LINE_CHARS).join("")}…` : text;
}
