// Times, network and engines, for those who want to see them.

import { byId } from "/dom.js";

/** @param {Choices} choices - keep whether they are shown */
export function listenToDetails(choices) {
  const button = byId("open-details");
  const draw = () => {
    byId("details").hidden = !choices.hasDetails;
    button.setAttribute("aria-expanded", String(choices.hasDetails));
  };
  button.addEventListener("click", () => {
    choices.change({ hasDetails: !choices.hasDetails });
    draw();
  });
  draw();
}
