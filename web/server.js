// What the page asks of the server over HTTP. Every failure is a Problem in words.

import { Problem } from "/problem.js";

const ANSWER_TIMEOUT_MS = 10_000;

/** @returns {Promise<object>} the server's health: status, version, engines, sessions */
export async function fetchHealth() {
  return ask("/health", { method: "GET", signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
}

/**
 * @param {RTCSessionDescription} offer
 * @param {AbortSignal} signal - ends the request when the person stops
 * @returns {Promise<{sdp: string, type: string, pc_id: string}>}
 */
export async function sendOffer(offer, signal) {
  return ask("/api/offer", body("POST", { sdp: offer.sdp, type: offer.type }, signal));
}

/** @param {RTCIceCandidate[]} candidates - found after the offer was sent */
export async function sendCandidates(pcId, candidates, signal) {
  const wire = candidates.map((found) => ({
    candidate: found.candidate,
    sdp_mid: found.sdpMid,
    sdp_mline_index: found.sdpMLineIndex,
  }));
  return ask("/api/offer", body("PATCH", { pc_id: pcId, candidates: wire }, signal));
}

function body(method, content, signal) {
  return {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
    signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
  };
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server does not answer. Start it with", "sotto serve");
  }
  const answer = await response.json().catch(() => null);
  // A server that loads its models says so with 503 and its health.
  if (!response.ok && answer?.status !== "starting") throw refusal(response.status, answer?.error);
  if (answer === null) throw new Problem(`The server’s answer to ${path} is not JSON. Is another program on this port?`);
  return answer;
}

function refusal(status, reason) {
  const because = typeof reason === "string" && reason ? reason : `HTTP ${status}`;
  if (status === 503) return new Problem(`${because.charAt(0).toUpperCase()}${because.slice(1)}.`);
  if (status === 403) {
    return new Problem(`The server refused this page’s address: ${because}. Open the address that sotto serve printed.`);
  }
  return new Problem(`The server refused the call: ${because}.`);
}
