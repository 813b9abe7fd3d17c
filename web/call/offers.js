// How the page joins a call over HTTP: its offer, and the ways that are found after it.

import { ask, asJson } from "/server.js";
import { browserId, pageId } from "/kept.js";

// An engine that was never used before is loaded first.
const JOIN_TIMEOUT_MS = 60_000;

/**
 * @param {RTCSessionDescription} offer
 * @param {object} wishes - of a Call
 * @param {AbortSignal} signal - ends the request when the person stops
 * @returns {Promise<{sdp: string, type: string, pc_id: string, conversation?: string}>}
 */
export async function sendOffer(offer, wishes, signal) {
  return ask("/api/offer", asJson("POST", { sdp: offer.sdp, type: offer.type, ...asJoin(wishes) }, signal, JOIN_TIMEOUT_MS));
}

/** @returns {object} the wishes of a Call as every transport sends them; what is not wished is left out */
export function asJoin({ conversation, options, isRecorded }) {
  const join = { page: pageId(), browser: browserId() };
  if (conversation) join.conversation = conversation;
  if (Object.keys(options ?? {}).length > 0) join.options = options;
  if (isRecorded) join.record = true;
  return join;
}

/** @param {RTCIceCandidate[]} candidates - found after the offer was sent */
export async function sendCandidates(pcId, candidates, signal) {
  const wire = candidates.map((found) => ({
    candidate: found.candidate,
    sdp_mid: found.sdpMid,
    sdp_mline_index: found.sdpMLineIndex,
  }));
  return ask("/api/offer", asJson("PATCH", { pc_id: pcId, candidates: wire }, signal));
}
