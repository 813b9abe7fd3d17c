// Choices as cards, one of which is chosen; a card may have a sample that is heard at once.

import { create, setText } from "/dom.js";

let playing = null;

/**
 * @param {string} key - of the setting
 * @param {string} label - of the whole
 * @param {{value: string, name: string, about: string, sample?: string}[]} choices - sample: address of a sound
 * @param {string} chosen - one of the values
 * @returns {{element: HTMLElement, read: () => string}}
 */
export function cards(key, label, choices, chosen) {
  const id = `setting-${key.replace(".", "-")}`;
  const element = create("div", "field cards-field");
  const name = create("span", "cards-label", label);
  name.id = `${id}-label`;
  const group = create("div", "cards");
  group.id = id;
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-labelledby", name.id);
  const hint = create("p", "unusable");
  hint.setAttribute("role", "status");
  group.append(...choices.map((choice, n) => card(`${id}-${n}`, key, choice, choice.value === chosen, hint)));
  element.append(name, group, hint);
  const read = () => group.querySelector("input:checked")?.value ?? chosen;
  return { element, control: group, read };
}

function card(id, key, { value, name, about, sample }, isChosen, hint) {
  const element = create("div", "card");
  const input = create("input");
  Object.assign(input, { type: "radio", name: key, id, value, checked: isChosen });
  const label = create("label");
  label.htmlFor = id;
  label.append(create("span", "card-name", name));
  if (about) label.append(" ", create("span", "card-about", about));
  element.append(input, label);
  if (sample) element.append(sampleButton(name, sample, hint));
  return element;
}

function sampleButton(name, address, hint) {
  const button = create("button", "quiet sample", "Hear");
  button.type = "button";
  button.setAttribute("aria-label", `Hear ${name}`);
  button.addEventListener("click", () => play(address, button, name, hint));
  return button;
}

async function play(address, button, name, hint) {
  stopSample();
  const sound = new Audio(address);
  playing = { sound, button };
  button.dataset.playing = "";
  setText(hint, "");
  sound.addEventListener("ended", () => playing?.sound === sound && stopSample());
  try {
    await sound.play();
  } catch (error) {
    // AbortError: another one was asked for meanwhile.
    if (error.name !== "AbortError") setText(hint, `${name} cannot be heard now. Is the server there?`);
    if (playing?.sound === sound) stopSample();
  }
}

/** Silence a sample that is being played. */
export function stopSample() {
  playing?.sound.pause();
  delete playing?.button.dataset.playing;
  playing = null;
}
