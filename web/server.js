// What the page asks of the server over HTTP. Every failure is a Problem in words.

import { Problem } from "/problem.js";

export const ANSWER_TIMEOUT_MS = 10_000;
const IN_USE_ATTEMPTS = 20;
const IN_USE_PAUSE_MS = 250;
// A server that is being restarted, or a proxy in front of it.
const PASSING = new Set([502, 503, 504]);

/** @returns {Promise<object>} the server's health: status, version, engines, sessions */
export async function fetchHealth(timeoutMs = ANSWER_TIMEOUT_MS) {
  return ask("/health", { method: "GET", signal: AbortSignal.timeout(timeoutMs) });
}

/** @returns {Promise<boolean>} whether anything answers at the server's address, whatever it says */
export async function isReachable(timeoutMs) {
  try {
    await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(timeoutMs) });
    return true;
  } catch {
    return false;
  }
}

/** @returns {Promise<object | null>} what can be chosen: settings, engines, voices, ice_servers, recording; null: nothing */
export async function fetchOptions() {
  return ask("/api/options", { method: "GET", signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) }, { orNull: true });
}

/** @returns {Promise<object | null>} what the server has of a conversation: history, noted; null: nothing */
export async function fetchConversation(id) {
  const path = `/api/conversations/${encodeURIComponent(id)}`;
  return ask(path, { method: "GET", signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) }, { orNull: true });
}

/** Make the server forget a conversation: its history and its recording. A call that is just ending is waited for. */
export async function deleteConversation(id) {
  const path = `/api/conversations/${encodeURIComponent(id)}`;
  return onceItIsFree(() => ask(path, { method: "DELETE", signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) }, { orNull: true }));
}

/**
 * @param {() => Promise} attempt - is repeated for a while where the conversation is in use: a call may just be ending
 * @returns {Promise} what the attempt gives
 */
export async function onceItIsFree(attempt) {
  for (let n = 1; ; n += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!error.isInUse || n === IN_USE_ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, IN_USE_PAUSE_MS));
    }
  }
}

/** @returns {{sound: string, events: string}} where a conversation's recording lies */
export function recordingAddresses(id) {
  const base = `/api/conversations/${encodeURIComponent(id)}`;
  return { sound: `${base}/recording.wav`, events: `${base}/events.jsonl` };
}

/**
 * @param {Response} response - not ok
 * @param {string} what - was asked for
 * @returns {Promise<Problem>} why the server refused, in words
 */
export async function refusalOf(response, what) {
  const answer = await readJson(response);
  return refusal(response.status, answer?.error, what);
}

/** @returns {Problem} for a server that cannot be reached */
export function unreachable() {
  return new Problem("The server does not answer. Start it with", "sotto serve", { isPassing: true });
}

/** @returns {object} for `ask`: JSON that is sent, until the signal or the time ends it */
export function asJson(method, content, signal, timeoutMs = ANSWER_TIMEOUT_MS) {
  return {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
  };
}

/**
 * @param {string} path
 * @param {object} options - of fetch
 * @param {{orNull?: boolean}} may - orNull: that there is nothing is an answer
 * @returns {Promise<object | null>} the JSON of the answer
 * @throws {Problem} in words
 */
export async function ask(path, options, { orNull = false } = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (orNull && (response.status === 404 || response.status === 204)) return null;
  const answer = await readJson(response);
  // A server that loads its models says so with 503 and its health.
  if (!response.ok && answer?.status !== "starting") throw refusal(response.status, answer?.error, "the call");
  if (answer === null && !orNull) {
    throw new Problem(`The server’s answer to ${path} is not JSON. Is another program on this port?`);
  }
  return answer;
}

async function readJson(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
}

function refusal(status, reason, what) {
  const because = typeof reason === "string" && reason ? reason : `HTTP ${status}`;
  const sentence = `${because.charAt(0).toUpperCase()}${because.slice(1)}.`;
  if (status === 401) {
    return new Problem("This server wants its access token. Open the address that sotto serve printed: it holds the token.");
  }
  if (status === 403) {
    return new Problem(`The server refused this page’s address: ${because}. Open the address that sotto serve printed.`);
  }
  if (status === 409) return new Problem(sentence, "", { isInUse: true });
  if (PASSING.has(status)) return new Problem(sentence, "", { isPassing: true });
  return new Problem(`The server refused ${what}: ${because}.`);
}
