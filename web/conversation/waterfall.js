// Where a turn's time went: a bar with one span a stage, and the same in words.

import { create, setText } from "/dom.js";
import { describeDuration, describeLatency, waterfall } from "/conversation/timings.js";

// A bar this long stands for a slow answer; longer ones are cut there.
const FULL_BAR_MS = 2_000;

/** @param {HTMLElement} element - in an item @param {object | null} latency - of its turn */
export function drawTurnTime(element, latency) {
  element.hidden = latency === null;
  if (latency === null) return;
  const figure = create("span", "figure", `answered in ${describeDuration(latency.voice_to_voice_ms)}`);
  const length = Math.min(1, latency.voice_to_voice_ms / FULL_BAR_MS);
  element.replaceChildren(figure, " ", drawBar(latency, length));
}

/**
 * The stages of one turn, a row each.
 *
 * @param {HTMLTableSectionElement} body - drawn anew
 * @param {object} latency
 */
export function drawStages(body, latency) {
  const spans = waterfall(latency);
  const wholeMs = endMs(spans);
  body.replaceChildren(
    ...spans.map(({ key, name, startMs, ms }) => {
      const row = create("tr", key);
      const lane = create("td", "lane");
      lane.append(place(create("span", "span"), startMs / wholeMs, ms / wholeMs));
      const head = create("th", "", name);
      head.scope = "row";
      row.append(head, lane, create("td", "figure", describeDuration(ms)));
      return row;
    }),
  );
}

function drawBar(latency, length) {
  const spans = waterfall(latency);
  const wholeMs = endMs(spans);
  const bar = create("span", "bar");
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", describeLatency(latency));
  bar.title = describeLatency(latency);
  bar.style.setProperty("--length", length);
  for (const { key, startMs, ms } of spans) {
    bar.append(place(create("span", `span ${key}`), startMs / wholeMs, ms / wholeMs));
  }
  return bar;
}

function place(element, start, share) {
  element.style.setProperty("--start", start);
  element.style.setProperty("--share", share);
  setText(element, "");
  return element;
}

function endMs(spans) {
  const last = spans.at(-1);
  return Math.max(1, last ? last.startMs + last.ms : 0);
}
