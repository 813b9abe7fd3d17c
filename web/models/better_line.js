// The first screen's one line on models, and what opens their sheet.

import { byId, setText } from "/dom.js";
import { bytesOf } from "/models/models_sheet.js";
import { describeSize } from "/models/model_words.js";

const WORDS = { stt: "ears", tts: "voice" };

/** @param {object[] | null} better - models that could be fetched; null: not known @param {boolean} isOffered */
export function drawBetterLine(better, isOffered) {
  byId("models-in-settings").hidden = !isOffered;
  const isShown = isOffered && better !== null && better.length > 0;
  byId("open-models").hidden = !isShown;
  if (!isOffered || better === null) return;
  const kinds = [...new Set(better.map(({ stage }) => WORDS[stage]))].sort().reverse();
  byId("better").hidden = !isShown;
  setText(byId("better"), isShown ? `Basic ${kinds.join(" and ")}.` : "");
  setText(byId("open-models"), `Better ones, ${describeSize(bytesOf(better))}`);
}
