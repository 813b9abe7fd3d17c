// What the page keeps in the browser: the conversation for this tab, choices for the next visit. Never any words.

const CONVERSATION = "sotto.conversation";
const CHOICES = "sotto.choices";
const RECORDED = "sotto.recorded";
const PAGE = "sotto.page";
const BROWSER = "sotto.browser";

let ownId = "";
let ownBrowserId = "";

/** @returns {string} what this tab calls itself, so that nobody else's conversations take up its room on the server */
export function pageId() {
  ownId ||= read("sessionStorage", PAGE) ?? "";
  if (!ownId) {
    ownId = randomId();
    write("sessionStorage", PAGE, ownId);
  }
  return ownId;
}

/** @returns {string} what this browser calls itself; it opens its memory on the server, so nothing else is told it */
export function browserId() {
  ownBrowserId ||= read("localStorage", BROWSER) ?? "";
  if (!ownBrowserId) {
    ownBrowserId = randomId();
    write("localStorage", BROWSER, ownBrowserId);
  }
  return ownBrowserId;
}

function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @returns {string} id of the conversation that this tab is in, or "" */
export function keptConversation() {
  return read("sessionStorage", CONVERSATION) ?? "";
}

/** @param {string} id - "" forgets it */
export function keepConversation(id) {
  write("sessionStorage", CONVERSATION, id || null);
}

/** @returns {{id: string, isOn: boolean}} the conversation of this tab that was recorded, or ""; whether Record is on */
export function keptRecorded() {
  const [sign = "", id = ""] = (read("sessionStorage", RECORDED) ?? "").split(" ");
  return { id, isOn: sign === "on" };
}

/** @param {string} id - "": none @param {boolean} isOn - a reload goes on recording */
export function keepRecorded(id, isOn) {
  write("sessionStorage", RECORDED, id || isOn ? `${isOn ? "on" : "off"} ${id}` : null);
}

/** @returns {{options: object, microphoneId: string, loudspeakerId: string, isSpoken: boolean, isReadAloud: boolean, hasDetails: boolean, hasKeys: boolean}} */
export function keptChoices() {
  const standard = { options: {}, microphoneId: "", loudspeakerId: "", isSpoken: true, isReadAloud: false, hasDetails: false, hasKeys: true };
  try {
    const kept = JSON.parse(read("localStorage", CHOICES) ?? "{}");
    const each = Object.entries(standard).map(([name, value]) => [name, isLike(kept?.[name], value) ? kept[name] : value]);
    return Object.fromEntries(each);
  } catch (error) {
    if (error instanceof SyntaxError) return standard;
    throw error;
  }
}

/** Whether a value can stand in the place of another one: something else may have written it. */
function isLike(value, standard) {
  return typeof value === typeof standard && value !== null && !Array.isArray(value);
}

/** @param {object} choices - as keptChoices returns them */
export function keepChoices(choices) {
  write("localStorage", CHOICES, JSON.stringify(choices));
}

function read(storage, key) {
  try {
    return window[storage].getItem(key);
  } catch (error) {
    // A browser that is told to keep nothing.
    if (error instanceof DOMException) return null;
    throw error;
  }
}

function write(storage, key, value) {
  try {
    if (value === null) window[storage].removeItem(key);
    else window[storage].setItem(key, value);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}
