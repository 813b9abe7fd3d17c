// What can be done with one message: copy it, hear it again, ask it again in other words.

import { copy } from "/conversation/copy_button.js";
import { messageText } from "/conversation/saved_text.js";
import { create, icon } from "/dom.js";

const SAID_MS = 2_000;
const COPY = { act: "take", label: "Copy message", path: "M7.5 7.5h8v9h-8zM4.5 12.5v-9h8" };
const SAY = { act: "say", label: "Say again", path: "M4 8v4h2.5L10 15V5L6.5 8zM13 7.5a3.5 3.5 0 0 1 0 5M15.2 5a7 7 0 0 1 0 10" };
const EDIT = { act: "edit", label: "Edit and ask again", path: "M4 16l.8-3.4L13.2 4.2l2.6 2.6-8.4 8.4zM11.6 5.8l2.6 2.6" };
const ACTS = { user: [COPY, EDIT], agent: [COPY, SAY] };

/** Added once a message is settled; it stays the same from then on. */
export function drawActions(element, item) {
  const { role, text, partial, isPending, isStreaming } = item;
  const isSettled = Boolean(text) && !partial && !isPending && !isStreaming;
  let bar = element.querySelector(":scope > .acts");
  if (bar === null && isSettled) {
    bar = create("div", "acts");
    bar.append(...ACTS[role].map(actButton));
  }
  if (bar) {
    bar.hidden = !isSettled;
    // Behind all that is drawn of the message by now.
    if (bar !== element.lastElementChild) element.append(bar);
  }
}

/**
 * @param {HTMLElement} list - of items
 * @param {(id: number) => object} find - the item of that id
 * @param {{say: (text: string) => void, onSay: Function, onEdit: Function}} handlers
 *   tell: what a screen reader is told; onSay(item, button); onEdit(item, element of the item)
 */
export function listenToActions(list, find, { tell, onSay, onEdit }) {
  list.addEventListener("click", async ({ target }) => {
    const button = target.closest("button.act");
    const element = button?.closest(".item");
    const item = element && find(Number(element.dataset.item));
    if (!item) return;
    if (button.dataset.act === "say") onSay(item, button);
    if (button.dataset.act === "edit") onEdit(item, element);
    if (button.dataset.act === "take") showCopied(button, await copy(messageText(item)), tell);
  });
}

function showCopied(button, isCopied, tell) {
  tell(isCopied ? "Copied." : "The browser did not let the page copy it.");
  button.classList.toggle("done", isCopied);
  setTimeout(() => button.classList.remove("done"), SAID_MS);
}

function actButton({ act, label, path }) {
  const button = create("button", "quiet act");
  button.type = "button";
  button.dataset.act = act;
  button.ariaLabel = button.title = label;
  button.append(icon(path));
  return button;
}
