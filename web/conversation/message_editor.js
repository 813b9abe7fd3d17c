// A message of the user's, being changed in its place: Enter asks it again, Escape leaves it as it was.

import { create } from "/dom.js";

// As the server takes it.
const MAX_CHARS = 8_000;

/**
 * @param {HTMLElement} element - the item's
 * @param {string} text - its words
 * @param {(text: string) => void} onAsk
 */
export function editMessage(element, text, onAsk) {
  if (element.querySelector(":scope > form")) return;
  const form = create("form", "message-editor");
  const box = create("textarea");
  Object.assign(box, { value: text, maxLength: MAX_CHARS, rows: 2, ariaLabel: "Your message" });
  const ask = create("button", "primary", "Ask");
  const cancel = create("button", "quiet", "Cancel");
  cancel.type = "button";
  const buttons = create("p", "buttons");
  buttons.append(ask, cancel);
  form.append(box, create("p", "hint", "What came after it goes, here and at the server."), buttons);
  const end = () => {
    form.remove();
    element.classList.remove("editing");
    element.querySelector("[data-act='edit']")?.focus();
  };
  cancel.addEventListener("click", end);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const asked = box.value.trim();
    if (asked === "") return;
    end();
    onAsk(asked);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      // It is not meant for the agent.
      event.stopPropagation();
      end();
    }
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.target !== box) return;
    event.preventDefault();
    form.requestSubmit();
  });
  element.classList.add("editing");
  element.append(form);
  box.focus();
  box.setSelectionRange(text.length, text.length);
}
