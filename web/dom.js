// The few ways in which the page changes its document. Text goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** @returns {HTMLElement} a new element that holds `text` */
export function create(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

/** @param {string} path - drawn in lines, on 20 x 20 @returns {SVGElement} a picture that says nothing by itself */
export function icon(path) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 20 20");
  picture.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  picture.append(line);
  return picture;
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

/** @returns {Element} what scrolls the list: in a wide page its section, in a low one the page */
export function scrollerOf(list) {
  for (let element = list.parentElement; element; element = element.parentElement) {
    if (getComputedStyle(element).overflowY === "auto") return element;
  }
  return document.scrollingElement;
}
