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

/**
 * @param {string | null} chosen - voice, "" or null for the engine's own
 * @param {{name: string, language: string}[]} voices - of the engine that speaks
 * @param {string} id - of the field that is replaced
 * @returns {HTMLSelectElement}
 */
export function voiceSelect(chosen, voices, id) {
  const select = create("select");
  select.id = id;
  const languages = [...new Set(voices.map(({ language }) => language))];
  select.append(new Option("The engine’s own", ""));
  for (const language of languages) {
    const group = create("optgroup");
    group.label = language || "Any language";
    const spoken = voices.filter((voice) => voice.language === language);
    group.append(...spoken.map(({ name }) => new Option(name, name, false, name === chosen)));
    select.append(group);
  }
  return select;
}
