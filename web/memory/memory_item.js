// One thing that is remembered, as a list item: its date, who said it, its words, and what can be done with it.

import { create } from "/dom.js";

const WHO = { fact: "You asked to remember", user: "You said", agent: "The agent said" };
// Of an edit, as the server takes it; of a side of a turn more than of a fact.
const MAX_FACT_CHARS = 2_000;
const MAX_TURN_CHARS = 8_000;

/**
 * @param {{number: number, date: string, kind: string, text: string}} item
 * @param {{onEdit: (text: string) => void, onForget: () => void}} handlers
 * @returns {HTMLLIElement}
 */
export function memoryItem(item, { onEdit, onForget }) {
  const element = create("li", "memory-item");
  const when = create("time", "", new Date(item.date).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));
  when.dateTime = item.date;
  const head = create("p", "memory-head", `${WHO[item.kind] ?? item.kind}, `);
  head.append(when);
  const text = create("p", "memory-text", item.text);
  text.id = `memory-${item.number}`;
  const maxChars = item.kind === "fact" ? MAX_FACT_CHARS : MAX_TURN_CHARS;
  const edit = button("Edit", text.id);
  const buttons = create("p", "memory-buttons");
  const forget = button("Forget", text.id);
  forget.setAttribute("aria-haspopup", "dialog");
  forget.addEventListener("click", onForget);
  buttons.append(edit, forget);
  edit.addEventListener("click", () => editText({ text, buttons, edit, maxChars }, onEdit));
  element.append(head, text, buttons);
  return element;
}

function editText({ text, buttons, edit, maxChars }, onEdit) {
  const box = create("textarea");
  box.value = text.textContent;
  box.maxLength = maxChars;
  box.setAttribute("aria-label", "What is remembered");
  const save = create("button", "", "Save");
  const cancel = create("button", "quiet", "Cancel");
  for (const one of [save, cancel]) one.type = "button";
  const choice = create("p", "memory-buttons");
  choice.append(save, cancel);
  const end = () => {
    box.replaceWith(text);
    choice.replaceWith(buttons);
    edit.focus();
  };
  cancel.addEventListener("click", end);
  save.addEventListener("click", () => {
    if (box.value.trim()) onEdit(box.value.trim());
  });
  text.replaceWith(box);
  buttons.replaceWith(choice);
  box.focus();
}

function button(label, describedBy) {
  const element = create("button", "quiet", label);
  element.type = "button";
  element.setAttribute("aria-describedby", describedBy);
  return element;
}
