// A screen that goes dark ends a call on many phones: while one goes on, it stays lit.

let isWanted = false;
let lock = null;

/** @param {boolean} wanted - where the browser can; it lets go by itself while the page is hidden */
export function keepAwake(wanted) {
  isWanted = wanted;
  if (wanted) ask();
  else release();
}

async function ask() {
  if (lock !== null || document.hidden || !navigator.wakeLock) return;
  const asked = navigator.wakeLock.request("screen");
  lock = asked;
  try {
    const held = await asked;
    held.addEventListener("release", () => {
      if (lock === asked) lock = null;
    });
  } catch (error) {
    // Low battery, or a policy.
    if (!(error instanceof DOMException)) throw error;
    lock = null;
  }
}

async function release() {
  const held = lock;
  lock = null;
  await held?.then((sentinel) => sentinel.release(), () => {});
}

document.addEventListener("visibilitychange", () => isWanted && ask());
