// What the page asks the server of the conversations that are kept.

import { pageId } from "/kept.js";
import { ask } from "/memory/memory_server.js";

const JSON_TYPE = { "Content-Type": "application/json" };
const at = (id) => `/conversations/${encodeURIComponent(id)}`;

/**
 * @param {{before?: number, about?: string}} wanted - older than a number, or what shares words with a text
 * @returns {Promise<{items: object[], before: ?number}>} items: {id, title, begun, date, turns} each
 */
export async function fetchKept({ before, about } = {}) {
  const query = new URLSearchParams(about ? { about } : before ? { before } : {});
  const { conversations: items, before: next } = await (await ask(`/conversations?${query}`)).json();
  return { items, before: next };
}

/** @returns {Promise<{conversation: string, history: object[], noted: boolean}>} it can be gone on with from now on */
export async function openKept(id) {
  const body = JSON.stringify({ page: pageId() });
  return (await ask(at(id), { method: "POST", headers: JSON_TYPE, body })).json();
}

/** @param {string} title - an empty one gives it its own back */
export async function renameKept(id, title) {
  await ask(at(id), { method: "PATCH", headers: JSON_TYPE, body: JSON.stringify({ title }) });
}

/** @param {"text" | "json"} kind @returns {Promise<string>} */
export async function exportKept(id, kind) {
  return (await ask(`${at(id)}/export?kind=${kind}`)).text();
}

/** Delete it for good. */
export async function forgetKept(id) {
  await ask(at(id), { method: "DELETE" });
}
