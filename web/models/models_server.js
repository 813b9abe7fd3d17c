// What the page asks the server of its models.

import { refusalOf, unreachable } from "/server.js";

const BASE = "/api/models";
const TIMEOUT_MS = 10_000;
// An engine is loaded, and measured the first time.
const LOAD_TIMEOUT_MS = 120_000;

/** @returns {Promise<{models: object[], pulls: object[], free_bytes: number, folder: string}>} */
export async function fetchModels() {
  return (await ask("")).json();
}

/** @returns {Promise<object[]>} {name, state, done_bytes, total_bytes, step, said, problem, press} each */
export async function fetchPulls() {
  return (await (await ask("/pulls")).json()).pulls;
}

/** Fetch a model, or go on with it. */
export async function startPull(name) {
  await ask(`/${encodeURIComponent(name)}/pull`, { method: "POST" });
}

export async function pausePull(name) {
  await ask(`/${encodeURIComponent(name)}/pause`, { method: "POST" });
}

/** Call a pull off; what has come is removed. */
export async function cancelPull(name) {
  await ask(`/${encodeURIComponent(name)}/pull`, { method: "DELETE" });
}

export async function removeModel(name) {
  await ask(`/${encodeURIComponent(name)}`, { method: "DELETE" });
}

/** Have the engines of a call loaded that is to have these options. */
export async function loadEngines(options) {
  const headers = { "Content-Type": "application/json" };
  await ask("/load", { method: "POST", headers, body: JSON.stringify({ options }) }, LOAD_TIMEOUT_MS);
}

async function ask(path, options = {}, timeoutMs = TIMEOUT_MS) {
  let response;
  try {
    response = await fetch(BASE + path, { ...options, cache: "no-store", signal: AbortSignal.timeout(timeoutMs) });
  } catch {
    throw unreachable();
  }
  if (!response.ok) throw await refusalOf(response, "this");
  return response;
}
