// The few ways in which the page changes its document. Text goes in as text, never as markup.

/** @returns {HTMLElement} a new element that holds `text` */
export function create(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

/** Leave an unchanged text alone, so that a screen reader does not say it twice. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
