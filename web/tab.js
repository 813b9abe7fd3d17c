// The page's state where it is not in sight: the tab's title and its icon.

import { FLOOR } from "/floor.js";

const GREEN = "#0b6b5e";
const PURPLE = "#6b3f7d";
const GREY = "#6a655c";
const RED = "#b3261e";
const BARS = "M5 6.5v3M8 4.5v7M11 6.5v3";
const SIGNS = {
  rest: sign(GREEN, BARS),
  heard: `${sign(GREEN, BARS)}<circle cx="12.4" cy="3.6" r="3.6" fill="${RED}" stroke="#fff"/>`,
  speaking: sign(PURPLE, "M4 7.2v1.6M6.7 4.5v7M9.3 3.5v9M12 6.2v3.6"),
  muted: sign(GREY, `${BARS}M3.5 3.5l9 9`),
  lost: sign(RED, "M8 4v5M8 11.8v.1"),
};
const LOST = new Set(["waiting", "away"]);
const SPEAKING = new Set(["speaking", "ducked", "paused"]);

let drawn = "";

/**
 * @param {string} state - a key of FLOOR
 * @param {string} microphone - a key of MICROPHONE
 */
export function drawTab(state, microphone) {
  const isOpen = ["on", "held"].includes(microphone);
  const title = state === "idle" ? "Sotto" : `${FLOOR[state].replace("…", "")} · Sotto`;
  document.title = isOpen ? `● ${title}` : title;
  const kind = kindOf(state, microphone, isOpen);
  if (kind === drawn) return;
  drawn = kind;
  const icon = document.querySelector("link[rel='icon']");
  icon.dataset.kind = kind;
  icon.href = `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">${SIGNS[kind]}</svg>`)}`;
}

function kindOf(state, microphone, isOpen) {
  if (LOST.has(state)) return "lost";
  if (SPEAKING.has(state)) return "speaking";
  if (microphone === "muted") return "muted";
  return isOpen ? "heard" : "rest";
}

function sign(colour, path) {
  return `<circle cx="8" cy="8" r="7" fill="${colour}"/><path d="${path}" stroke="#fff" stroke-width="1.6" stroke-linecap="round"/>`;
}
