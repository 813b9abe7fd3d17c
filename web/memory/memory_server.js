// What the page asks the server of this browser's memory.

import { browserId } from "/kept.js";
import { refusalOf, unreachable } from "/server.js";

const BASE = "/api/memory";
const TIMEOUT_MS = 10_000;

/**
 * @param {{before?: number, about?: string}} wanted - older than a number, or what shares words with a text
 * @returns {Promise<{conversations: boolean, items: object[], before: ?number}>} items: {number, date, kind, text}
 */
export async function fetchMemory({ before, about } = {}) {
  const query = new URLSearchParams(about ? { about } : before ? { before } : {});
  return (await ask(`?${query}`)).json();
}

/** @returns {Promise<string>} all of it as JSON lines */
export async function exportMemory() {
  return (await ask("/export")).text();
}

/** Give an item other words. */
export async function editItem(number, text) {
  const headers = { "Content-Type": "application/json" };
  await ask(`/${number}`, { method: "PATCH", headers, body: JSON.stringify({ text }) });
}

/** Delete an item for good; without a number, all of them. */
export async function forgetItem(number) {
  await ask(number === undefined ? "" : `/${number}`, { method: "DELETE" });
}

/** Of the memory: @param {string} path - below its address */
export async function ask(path, options = {}) {
  // A header, for addresses are written into logs: the id opens the memory.
  const headers = { ...options.headers, "X-Sotto-Browser": browserId() };
  let response;
  try {
    response = await fetch(BASE + path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw unreachable();
  }
  if (!response.ok) throw await refusalOf(response, "this");
  return response;
}
