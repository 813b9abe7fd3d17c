// A button that copies a text.

import { create, setText } from "/dom.js";

const SAID_MS = 2_000;

/** @param {string} text @returns {HTMLButtonElement} */
export function copyButton(text) {
  const button = create("button", "copy", "Copy");
  button.type = "button";
  button.addEventListener("click", async () => {
    setText(button, (await copy(text)) ? "Copied" : "Not copied");
    setTimeout(() => setText(button, "Copy"), SAID_MS);
  });
  return button;
}

/** @returns {Promise<boolean>} whether the text is in the clipboard now */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch (error) {
    // Refused by the person or the browser; or a page without https, which has no clipboard.
    if (error instanceof DOMException || error instanceof TypeError) return false;
    throw error;
  }
}
