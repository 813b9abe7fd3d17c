// What single keys do outside of a field, and the sheet that lists them.

import { byId, create } from "/dom.js";

const NAMES = [
  ["Space", "Start talking, or wake the agent; held, where it listens only then"],
  ["M", "Mute or unmute"],
  ["I or Escape", "Interrupt the agent"],
  ["/", "Write a message"],
  ["?", "Show these keys"],
];
// What scrolls can be reached by the keyboard, and scrolls by the space bar.
const OWN_KEYS = "button, summary, input, textarea, select, a, dialog, [popover], [tabindex='0']";

/**
 * @param {Choices} choices - keep whether letters count
 * @param {{[key: string]: () => void}} actions - by `KeyboardEvent.key`, in lower case
 */
export function listenToKeys(choices, actions) {
  const sheet = byId("keys");
  byId("keys-list").replaceChildren(
    ...NAMES.flatMap(([key, action]) => [create("dt", "", key), create("dd", "", action)]),
  );
  const isOn = byId("keys-on");
  isOn.checked = choices.hasKeys;
  isOn.addEventListener("change", () => choices.change({ hasKeys: isOn.checked }));
  byId("open-keys").addEventListener("click", () => sheet.showModal());
  const known = { "?": () => sheet.showModal(), ...actions };
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") || isElsewhere(event)) return;
    const act = known[event.key.toLowerCase()];
    // Who speaks to the computer, or types with one switch, may not want letters to count; Escape always does.
    if (!act || (event.key !== "Escape" && !choices.hasKeys)) return;
    event.preventDefault();
    act();
  });
}

/** Controls keep their own keys: the space bar presses buttons, letters are written; elsewhere they are the page's. */
function isElsewhere({ key, target }) {
  if (key === "Escape") return Boolean(document.querySelector("[popover]:popover-open"));
  if (key === " ") return Boolean(target.closest?.(OWN_KEYS));
  return Boolean(target.closest?.("input:not([type='checkbox']), textarea, select"));
}
