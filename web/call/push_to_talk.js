// Push-to-talk: a button that is held with the pointer or its own keys, and the space bar anywhere else on the page.

/**
 * @param {HTMLButtonElement} button
 * @param {(isHeld: boolean) => void} onHold - told of each change
 */
export function holdToTalk(button, onHold) {
  let isHeld = false;
  const hold = (held) => {
    if (held === isHeld || (held && button.hidden)) return;
    isHeld = held;
    button.setAttribute("aria-pressed", String(held));
    onHold(held);
  };
  button.addEventListener("pointerdown", (event) => {
    button.setPointerCapture(event.pointerId);
    hold(true);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(end, () => hold(false));
  addEventListener("keydown", (event) => {
    if (!isKeyFor(button, event)) return;
    event.preventDefault();
    hold(true);
  });
  addEventListener("keyup", (event) => {
    if (event.code === "Space" || event.code === "Enter") hold(false);
  });
  // A key that is let go elsewhere is never seen here.
  addEventListener("blur", () => hold(false));
  document.addEventListener("visibilitychange", () => document.hidden && hold(false));
}

/** The space bar talks, instead of pressing the button with which the person came into the call. */
export function takeTheSpaceBar(button) {
  if (document.activeElement?.matches("#talk, #open-settings")) button.focus();
}

function isKeyFor(button, event) {
  if (button.hidden || event.ctrlKey || event.metaKey || event.altKey) return false;
  if (event.target === button) return event.code === "Space" || event.code === "Enter";
  // Other controls keep their own keys.
  return event.code === "Space" && !event.target.closest?.("button, summary, input, textarea, select, a");
}
