// Which engine serves each stage, why better ones were passed over, and the command that brings them.

import { create, setText } from "/dom.js";

const STAGES = {
  stt: "Speech to text",
  llm: "Language model",
  large: "Large language model",
  tts: "Text to speech",
  wake: "Wake word",
  vad: "Voice activity",
  turn: "End of turn",
  tools: "Tools",
  history: "Conversation",
  picture: "Picture",
};

/** @returns {string} a stage of the event log in words */
export function describeStage(stage) {
  return STAGES[stage] ?? stage;
}

/** @returns {object} by stage: the health knows why engines were passed over, the session which ones serve it */
export function enginesNow(known, serving) {
  const own = Object.entries(serving).map(([stage, engine]) => [
    stage,
    { ...known[stage], ...(typeof engine === "string" ? { engine } : engine) },
  ]);
  return { ...known, ...Object.fromEntries(own) };
}

/** @returns {string} the engines that do the work, in the order of a turn */
export function summarizeEngines(engines) {
  return ["stt", "llm", "tts"].map((stage) => describe(engines[stage]).engine).filter(Boolean).join(" → ");
}

/** @returns {string} one line where ears or voice could be better, else "" */
export function describeBetter(engines) {
  const named = { stt: "ears", tts: "voice" };
  const basic = Object.keys(named).filter((stage) => describe(engines[stage]).passed_over.some(({ mend }) => mend));
  if (basic.length === 0) return "";
  return `Basic ${basic.map((stage) => named[stage]).join(" and ")} for now. Details names better ones and how to get them.`;
}

/** @param {HTMLElement} list - a dl, drawn anew */
export function drawEngines(list, engines) {
  list.replaceChildren(...Object.keys(engines).map((stage) => drawStage(stage, describe(engines[stage]))));
}

/**
 * @param {HTMLElement} line
 * @param {number | null} secs - as the server has measured on its machine; null where it does not know
 */
export function drawAnswerTime(line, secs) {
  line.hidden = typeof secs !== "number" || !Number.isFinite(secs);
  if (!line.hidden) setText(line, `About ${secs.toFixed(1)} s from your last word to an answer with these.`);
}

function drawStage(stage, { engine, model, note, passed_over: passedOver }) {
  const row = create("div", "stage");
  const serving = create("dd", "serving", engine || "none");
  if (model) serving.append(" ", create("span", "model", model));
  row.append(create("dt", "", describeStage(stage)), serving);
  if (note) row.append(create("dd", "note", note));
  row.append(...passedOver.map(drawPassedOver));
  return row;
}

function drawPassedOver({ engine, reason, mend }) {
  const note = create("dd", "passed-over", `${engine} was passed over: ${reason}.`);
  if (mend) note.append(" To use it: ", create("code", "", mend));
  return note;
}

/** Engines come as objects from the server's health, and may come as plain names in the event log. */
function describe(engine) {
  if (typeof engine === "string") return { engine, model: "", note: "", passed_over: [] };
  const { engine: name = "", model = "", note = "", passed_over = [] } = engine ?? {};
  return { engine: name, model, note: note ?? "", passed_over };
}
