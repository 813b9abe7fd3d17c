// Which microphone and which loudspeaker: two lists that follow what is plugged in.

import { create, setText } from "/dom.js";
import { labelled, named } from "/sheet.js";

export const OUTPUTS_CAN_BE_CHOSEN = "setSinkId" in HTMLMediaElement.prototype;

export class DevicePickers {
  element = create("fieldset");
  #choices;
  #microphone = named("select", "microphone-choice");
  #loudspeaker = named("select", "loudspeaker-choice");
  #hint = named("p", "devices-hint", "hint");

  /**
   * @param {object} choices - {microphoneId, loudspeakerId}, "" for the browser's own choice
   * @param {{onMicrophone, onLoudspeaker}} handlers - told the id that was chosen
   */
  constructor(choices, { onMicrophone, onLoudspeaker }) {
    this.#choices = choices;
    const loudspeaker = labelled("Loudspeaker", this.#loudspeaker);
    loudspeaker.hidden = !OUTPUTS_CAN_BE_CHOSEN;
    this.element.append(create("legend", "", "Sound"), labelled("Microphone", this.#microphone), loudspeaker, this.#hint);
    for (const select of [this.#microphone, this.#loudspeaker]) fillDevices(select, [], "");
    this.#microphone.addEventListener("change", ({ target }) => onMicrophone(target.value));
    this.#loudspeaker.addEventListener("change", ({ target }) => onLoudspeaker(target.value));
    navigator.mediaDevices?.addEventListener("devicechange", () => this.draw());
  }

  async draw() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const of = (wanted) => devices.filter(({ kind }) => kind === wanted);
    fillDevices(this.#microphone, of("audioinput"), this.#choices.microphoneId);
    fillDevices(this.#loudspeaker, of("audiooutput"), this.#choices.loudspeakerId);
    setText(this.#hint, hint(of("audioinput")));
  }
}

function hint(microphones) {
  if (microphones.length === 0) return "No microphone was found.";
  return microphones.some(({ label }) => label) ? "" : "Devices have names here once you have allowed the microphone.";
}

/** @param {HTMLSelectElement} select @param {MediaDeviceInfo[]} devices @param {string} chosenId - "" for the browser's choice */
export function fillDevices(select, devices, chosenId) {
  // Browsers list their own choice once more, as "default".
  const named = devices.filter(({ deviceId, label }) => deviceId && deviceId !== "default" && label);
  const options = named.map(({ deviceId, label }) => new Option(label, deviceId, false, deviceId === chosenId));
  select.replaceChildren(new Option("The browser’s choice", ""), ...options);
  if (!named.some(({ deviceId }) => deviceId === chosenId)) select.value = "";
}
