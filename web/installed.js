// The page as an app: kept for when the server is away, put among the programs where the browser offers that.

import { byId } from "/dom.js";

const MARK = "sotto-version";
const OWN_FILE = /\.(?:js|css|svg|png)$/;

/** @returns {Promise<string>} of which sotto the page is, be it kept or fresh; "" where that is not known */
export async function versionOfPage() {
  try {
    // The browser has it already.
    return (await fetch("/app.js", { cache: "force-cache" })).headers.get(MARK) ?? "";
  } catch {
    return "";
  }
}

/** Have the page kept by its service worker. Not over plain http from another machine, nor in some private windows. */
export async function keepPage() {
  if (!navigator.serviceWorker) return;
  try {
    await navigator.serviceWorker.register("/service_worker.js");
  } catch (error) {
    // A certificate that the browser does not trust, or a setting that forbids it: the page does without.
    console.info(`the page is not kept: ${error.message}`);
    return;
  }
  const { active } = await navigator.serviceWorker.ready;
  active.postMessage(loadedFiles());
}

function loadedFiles() {
  const loaded = performance.getEntriesByType("resource").map(({ name }) => new URL(name));
  return loaded.filter(({ origin, pathname }) => origin === location.origin && OWN_FILE.test(pathname)).map(({ pathname }) => pathname);
}

/**
 * Browsers that install pages say when (Chromium's); others do it from a menu of their own, or do not.
 *
 * @param {Promise<Event>} early - the first offer, which may have come already
 */
export function offerToInstall(early) {
  const button = byId("install");
  let offer = null;
  const show = (event) => {
    offer = event;
    button.hidden = offer === null;
  };
  const take = (event) => {
    event.preventDefault();
    show(event);
  };
  addEventListener("beforeinstallprompt", take);
  early.then(take);
  addEventListener("appinstalled", () => show(null));
  button.addEventListener("click", async () => {
    await offer.prompt();
    show(null);
  });
}
