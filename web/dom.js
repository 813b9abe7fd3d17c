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

/** @returns {HTMLElement} the element of the page with that id */
export function byId(id) {
  return document.getElementById(id);
}

/** @returns {HTMLElement} the child of that class: made when first needed, in the order of the calls */
export function part(parent, name, tag = "span") {
  const found = parent.querySelector(`:scope > .${name}`);
  if (found?.localName === tag) return found;
  const element = create(tag, name);
  if (found) found.replaceWith(element);
  else {
    if (parent.childElementCount > 0) parent.append(" ");
    parent.append(element);
  }
  return element;
}
