// One conversation that is kept, as a list item: its title opens it; beside it what else can be done.

import { create } from "/dom.js";

// As the server takes it.
const MAX_TITLE_CHARS = 120;

/**
 * @param {{id: string, title: string, date: string, turns: number}} kept
 * @param {{onOpen: () => void, onRename: (title: string) => void, onExport: (kind: "text" | "json") => void, onForget: () => void}} acts
 * @returns {HTMLLIElement}
 */
export function conversationItem({ id, title, date, turns }, { onOpen, onRename, onExport, onForget }) {
  const element = create("li", "memory-item");
  element.dataset.conversation = id;
  const open = button(title, onOpen, "kept-title");
  open.id = `kept-${id}`;
  const head = create("p", "memory-head", `${turns === 1 ? "1 turn" : `${turns} turns`}, `);
  const when = create("time", "", new Date(date).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));
  when.dateTime = date;
  head.append(when);
  const rename = button("Rename", () => editTitle({ open, title, rename }, onRename));
  const forget = button("Delete…", onForget);
  forget.setAttribute("aria-haspopup", "dialog");
  const acts = [rename, button("Text", () => onExport("text")), button("JSON", () => onExport("json")), forget];
  acts.forEach((act) => act.setAttribute("aria-describedby", open.id));
  const buttons = create("p", "memory-buttons");
  buttons.append(...acts);
  element.append(open, head, buttons);
  return element;
}

function editTitle({ open, title, rename }, onRename) {
  const box = create("input");
  Object.assign(box, { type: "text", value: title, maxLength: MAX_TITLE_CHARS, ariaLabel: "Title" });
  const end = () => {
    box.replaceWith(open);
    rename.focus();
  };
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    // Escape is meant for the title, and not for the dialog.
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape" || box.value.trim() === title) return end();
    onRename(box.value.trim());
  });
  open.replaceWith(box);
  box.focus();
  box.select();
}

function button(label, onClick, className = "") {
  const element = create("button", `quiet ${className}`.trim(), label);
  element.type = "button";
  element.addEventListener("click", onClick);
  return element;
}
