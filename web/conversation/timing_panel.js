// The times of the conversation, and how the network carries it.

import { byId, setText } from "/dom.js";
import { describeDuration } from "/conversation/timings.js";
import { drawStages } from "/conversation/waterfall.js";

let drawnLatency = null;

/**
 * @param {object[]} items
 * @param {Timings} timings - of a Conversation
 * @param {object | null} link - stats of the call; {} while they are not known, null without a call
 */
export function drawTiming(items, timings, link) {
  const { nTurns, nKept, nThrownAway } = timings;
  setText(byId("median"), describeDuration(timings.percentileMs(50)));
  setText(byId("p95"), describeDuration(timings.percentileMs(95)));
  setText(byId("n-turns"), String(nTurns));
  setText(byId("timing-short"), nTurns > 0 ? `median ${describeDuration(timings.percentileMs(50))}` : "no answers yet");
  setText(byId("speculation"), nKept + nThrownAway > 0 ? `${nKept} used, ${nThrownAway} thrown away` : "none yet");
  setText(byId("network"), describeLink(link));
  const latency = items.findLast((item) => item.latency)?.latency ?? null;
  byId("stages").hidden = latency === null;
  if (latency !== null && latency !== drawnLatency) drawStages(byId("stages-body"), latency);
  drawnLatency = latency;
}

function describeLink(link) {
  if (link === null) return "not in a call";
  const { transport, roundTripMs = null, lostDown = null, lostUp = null } = link;
  const lost = [
    [lostUp, "of yours"],
    [lostDown, "of the agent’s"],
  ].filter(([share]) => share !== null);
  const told = [
    transport,
    roundTripMs === null ? "" : `${describeDuration(roundTripMs)} there and back`,
    lost.length > 0 ? `lost: ${lost.map(([share, whose]) => `${percent(share)} ${whose}`).join(", ")}` : "",
  ];
  return told.filter(Boolean).join(" · ") || "being measured";
}

function percent(share) {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}
