// One model, as a list item: what it is for, what it takes, how far it is, and what can be done with it.

import { create, part, setText } from "/dom.js";
import { describeFacts, describePull, describeSize, describeSpeed } from "/models/model_words.js";

const BUTTONS = [
  ["get", "primary"],
  ["pause", ""],
  ["cancel", "quiet"],
  ["use", "primary"],
  ["remove", "quiet"],
];

/**
 * @param {string} name - of the model
 * @param {(action: string) => void} onAction - get, pause, cancel, use or remove was pressed
 * @returns {HTMLLIElement} to be drawn by drawModel
 */
export function modelItem(name, onAction) {
  const element = create("li", "model");
  const title = create("h4", "model-title");
  title.id = `model-${name}`;
  const bar = create("progress", "model-bar");
  bar.setAttribute("aria-labelledby", title.id);
  const buttons = create("p", "model-buttons");
  for (const [action, look] of BUTTONS) {
    const button = create("button", look);
    button.type = "button";
    button.dataset.action = action;
    button.setAttribute("aria-describedby", title.id);
    button.addEventListener("click", () => onAction(action));
    buttons.append(button);
  }
  element.append(title, create("p", "model-facts"), create("p", "model-speed"), bar, create("p", "model-state"), buttons);
  return element;
}

/**
 * @param {HTMLLIElement} element
 * @param {object} model - of /api/models
 * @param {object | undefined} pull - of it
 * @param {{isChosen: boolean, isLoading: boolean}} now - whether this page asks for it; whether it is being loaded
 */
export function drawModel(element, model, pull, { isChosen, isLoading }) {
  const isHere = ["here", "bundled"].includes(model.state);
  const state = isHere ? "here" : (pull?.state ?? model.state);
  element.dataset.state = state;
  setText(part(element, "model-title", "h4"), model.purpose);
  setText(part(element, "model-facts", "p"), describeFacts(model));
  setText(part(element, "model-speed", "p"), describeSpeed(model));
  const bar = part(element, "model-bar", "progress");
  bar.hidden = !["running", "paused"].includes(state);
  bar.max = pull?.total_bytes || model.size_bytes;
  bar.value = pull?.total_bytes ? pull.done_bytes : model.done_bytes;
  const told = part(element, "model-state", "p");
  told.classList.toggle("is-problem", state === "failed");
  setText(told, describeState(model, pull, { isHere, isChosen, isLoading }));
  drawButtons(element, model, { state, isHere, isChosen, isLoading });
}

function describeState(model, pull, { isHere, isChosen, isLoading }) {
  if (isLoading) return "Is being loaded; you can go on talking.";
  if (isHere && model.in_use) return "In use.";
  if (isHere) return isChosen ? "Chosen for your next call." : model.state === "bundled" ? "Came with sotto." : "It is here.";
  if (pull) return describePull(pull);
  return model.state === "partly" ? `${describeSize(model.done_bytes)} of it are here.` : "";
}

function drawButtons(element, model, { state, isHere, isChosen, isLoading }) {
  const isUnderWay = ["waiting", "running"].includes(state);
  const rest = model.size_bytes - model.done_bytes;
  const get = { paused: "Go on", failed: "Try again", partly: `Get the rest, ${describeSize(rest)}` }[state];
  const words = {
    get: isHere || isUnderWay ? "" : (get ?? `Get, ${describeSize(model.size_bytes)}`),
    pause: isUnderWay ? "Pause" : "",
    cancel: isUnderWay || ["paused", "failed", "partly"].includes(state) ? "Cancel" : "",
    use: model.state === "here" && !model.in_use && !isChosen ? "Use now" : "",
    remove: model.state === "here" && !model.in_use ? "Remove…" : "",
  };
  for (const button of element.querySelectorAll("button")) drawButton(button, words[button.dataset.action], isLoading);
}

/** A button that goes while it has the keyboard leaves it to the next one. */
function drawButton(button, words, isLoading) {
  const hadFocus = button === document.activeElement;
  button.hidden = words === "";
  setText(button, words);
  button.setAttribute("aria-disabled", String(isLoading));
  if (hadFocus && button.hidden) setTimeout(() => button.parentElement.querySelector("button:not([hidden])")?.focus());
}
