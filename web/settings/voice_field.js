// The voice: its language by name, and the voices of that language as cards, each with a sample.

import { create } from "/dom.js";
import { cards } from "/settings/cards.js";
import { accentName, languageName, voiceName } from "/settings/names.js";

/**
 * @param {string} engine - that speaks
 * @param {{name: string, language: string, label?: string}[]} voices - of that engine, not empty
 * @param {string} chosen - name of a voice; "" for the engine's own
 * @param {string} language - that is chosen, such as en-us
 * @returns {{element: HTMLElement, read: () => {voice: string | null, language: string}}} language: of that voice
 */
export function voiceField(engine, voices, chosen, language) {
  const element = create("div", "voice-field");
  const own = voices.find(({ name }) => name === chosen)?.language ?? language;
  const select = languageSelect(voices, own);
  const field = create("div", "field");
  const label = create("label", "", "Language");
  label.htmlFor = select.id;
  field.append(label, select);
  let group = null;
  const draw = (wanted) => {
    const spoken = voices.filter((voice) => languageName(voice.language) === select.value);
    const next = cards("tts.voice", "Voice", [ownCard(engine), ...spoken.map((voice) => cardOf(engine, voice))], wanted);
    if (group === null) element.append(next.element);
    else group.element.replaceWith(next.element);
    group = next;
  };
  element.append(field);
  draw(chosen);
  select.addEventListener("change", () => draw(""));
  const read = () => {
    const name = group.read();
    const isSame = name === chosen && select.value === languageName(own);
    if (isSame || (name === "" && select.value === languageName(language))) return { voice: name || null, language };
    const first = voices.find((voice) => languageName(voice.language) === select.value)?.language;
    const spoken = voices.find((voice) => voice.name === name)?.language;
    return { voice: name || null, language: spoken || first || language };
  };
  return { element, read };
}

function languageSelect(voices, own) {
  const select = create("select");
  select.id = "setting-tts-language";
  const names = [...new Set([languageName(own), ...voices.map((voice) => languageName(voice.language))])].sort();
  select.append(...names.map((name) => new Option(name, name, false, name === languageName(own))));
  return select;
}

const ownCard = () => ({ value: "", name: "The engine’s own", about: "Whatever speaks best" });

function cardOf(engine, voice) {
  const about = [languageName(voice.language), accentName(voice.language)].filter(Boolean).join(", ");
  const query = new URLSearchParams({ engine, voice: voice.name });
  return { value: voice.name, name: voiceName(voice), about, sample: `/api/voices/sample?${query}` };
}
