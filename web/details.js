// Times, network and engines, for those who want to see them.

import { byId } from "/dom.js";
import { withStyles } from "/late.js";

/** @param {Choices} choices - keep whether they are shown @param {() => void} onShown */
export function listenToDetails(choices, onShown) {
  const button = byId("open-details");
  const draw = async () => {
    button.setAttribute("aria-expanded", String(choices.hasDetails));
    if (choices.hasDetails) await withStyles("/styles/panels.css");
    byId("details").hidden = !choices.hasDetails;
    onShown();
  };
  button.addEventListener("click", () => {
    choices.change({ hasDetails: !choices.hasDetails });
    draw();
  });
  draw();
}
