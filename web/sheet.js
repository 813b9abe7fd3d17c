// The page's large dialogs: a title, what closes it, a body that scrolls, a foot. Each is made when it is first opened.

import { create, icon } from "/dom.js";

const CROSS = "M5 5l10 10M15 5L5 15";

/**
 * @param {string} name - the ids of its parts begin with it
 * @param {string} title
 * @param {Node[]} body
 * @param {Node[]} [foot] - left out: it has none
 * @returns {{dialog: HTMLDialogElement, form: HTMLFormElement, close: HTMLButtonElement}} in the page, not shown yet
 */
export function makeSheet(name, title, body, foot = []) {
  const dialog = create("dialog", "settings");
  dialog.id = name;
  dialog.setAttribute("aria-labelledby", `${name}-title`);
  const form = create("form");
  Object.assign(form, { id: `${name}-form`, method: "dialog", autocomplete: "off" });
  const heading = create("h2", "", title);
  heading.id = `${name}-title`;
  const close = pressed("", `${name}-close`, "quiet");
  close.ariaLabel = "Close";
  close.append(icon(CROSS));
  const head = create("header");
  head.append(heading, close);
  const middle = create("div", "settings-body");
  middle.append(...body);
  form.append(head, middle);
  if (foot.length > 0) {
    const footer = create("footer");
    footer.append(...foot);
    form.append(footer);
  }
  dialog.append(form);
  document.body.append(dialog);
  return { dialog, form, close };
}

/** @returns {HTMLElement} an element with an id */
export function named(tag, id, className = "", text = "") {
  return Object.assign(create(tag, className, text), { id });
}

/** @returns {HTMLButtonElement} one that does nothing by itself */
export function pressed(text, id, className = "") {
  return Object.assign(named("button", id, className, text), { type: "button" });
}

/** @param {HTMLElement} control - has an id @returns {HTMLElement} it under its label */
export function labelled(text, control) {
  const field = create("div", "field");
  const label = create("label", "", text);
  label.htmlFor = control.id;
  field.append(label, control);
  return field;
}
