// Which microphone and which loudspeaker: two lists that follow what is plugged in.

import { byId, setText } from "/dom.js";

export const OUTPUTS_CAN_BE_CHOSEN = "setSinkId" in HTMLMediaElement.prototype;

export class DevicePickers {
  #choices;

  /**
   * @param {object} choices - {microphoneId, loudspeakerId}, "" for the browser's own choice
   * @param {{onMicrophone, onLoudspeaker}} handlers - told the id that was chosen
   */
  constructor(choices, { onMicrophone, onLoudspeaker }) {
    this.#choices = choices;
    byId("microphone-choice").addEventListener("change", ({ target }) => onMicrophone(target.value));
    byId("loudspeaker-choice").addEventListener("change", ({ target }) => onLoudspeaker(target.value));
    byId("loudspeaker-field").hidden = !OUTPUTS_CAN_BE_CHOSEN;
    navigator.mediaDevices?.addEventListener("devicechange", () => this.draw());
  }

  async draw() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const microphones = devices.filter(({ kind }) => kind === "audioinput");
    fillDevices(byId("microphone-choice"), microphones, this.#choices.microphoneId);
    fillDevices(byId("loudspeaker-choice"), devices.filter(({ kind }) => kind === "audiooutput"), this.#choices.loudspeakerId);
    setText(byId("devices-hint"), hint(microphones));
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
