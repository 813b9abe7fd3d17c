// One picture of the camera, drawn with what was done with it.

import { part, setText } from "/dom.js";
import { pictureOf } from "/conversation/pictures.js";

/** @param {object} item - of Pictures @returns {string} what has become of it, in words */
export function describePicture({ state, reason }) {
  if (state === "asked") return "The agent asks for one picture of your camera…";
  if (state === "failed") return `No picture was sent: ${reason || "it was called off"}.`;
  return "This picture was sent to the language model for this question alone. It is stored nowhere; the camera is off.";
}

/** @param {HTMLElement} element - an item of the list @param {object} item - of Pictures */
export function drawPicture(element, item) {
  element.dataset.picture = item.state;
  const image = part(element, "frame", "img");
  const url = pictureOf(item);
  image.hidden = url === "";
  image.alt = "What your camera saw";
  if (url === "") image.removeAttribute("src");
  else if (image.getAttribute("src") !== url) image.src = url;
  setText(part(element, "note"), describePicture(item));
}
