// Choosing engines and voices: what cannot be used now is shown with its reason and the command that mends it.

import { create } from "/dom.js";
import { describeChoice } from "/settings/settings_list.js";

/**
 * @param {HTMLSelectElement} select - of `stt.engine`, `llm.engine` or `tts.engine`
 * @param {object[]} engines - {engine, model, usable, reason, mend} of that stage
 * @returns {HTMLElement[]} notes to stand below it
 */
export function describeEngines(select, engines) {
  const notes = [];
  for (const { engine, model, usable, reason, mend } of engines) {
    const option = [...select.options].find(({ value }) => value === engine);
    if (option && model && usable) option.text = `${describeChoice("", engine)} (${model})`;
    if (usable) continue;
    // The engine that is in use now stays to be seen.
    if (option && !option.selected) option.disabled = true;
    const note = create("p", "unusable", `${engine}: ${reason || "cannot be used now"}.`);
    if (mend) note.append(" ", create("code", "", mend));
    notes.push(note);
  }
  return notes;
}
