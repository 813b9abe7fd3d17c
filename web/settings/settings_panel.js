// The settings of the next call, and of this one by joining it again: built from what the server offers.

import { askFirst } from "/confirm.js";
import { byId, create, setText } from "/dom.js";
import { describeEngines, voiceSelect } from "/settings/engine_field.js";
import { settingField } from "/settings/setting_field.js";
import { groupsOf } from "/settings/settings_list.js";

const UNSAVED = {
  title: "Throw your changes away?",
  text: "What you changed here is not applied yet.",
  no: "Keep editing",
  yes: "Throw away",
};

export class SettingsPanel {
  #dialog = byId("settings");
  #chosen = "{}";
  #fields = new Map();
  #offer = null;
  #serving = {};

  /** @param {{onApply: (options: object) => void, onReset: () => void}} handlers */
  constructor({ onApply, onReset }) {
    byId("settings-form").addEventListener("submit", (event) => {
      event.preventDefault();
      onApply(this.#read());
      this.#dialog.close();
    });
    byId("settings-close").addEventListener("click", () => this.#leave());
    this.#dialog.addEventListener("cancel", (event) => {
      if (event.target !== this.#dialog) return;
      event.preventDefault();
      this.#leave();
    });
    byId("settings-reset").addEventListener("click", () => {
      onReset();
      this.#dialog.close();
    });
  }

  /**
   * @param {ServerWatch} server - its offer is what can be chosen
   * @param {object} chosen - {setting: value} that differ from the server's own
   * @param {object} engines - that serve now, {stage: {engine}}
   * @param {boolean} isInCall
   */
  open({ offer, offerProblem }, chosen, engines, isInCall) {
    this.#offer = offer;
    setText(byId("settings-none"), offerProblem);
    byId("settings-none").hidden = offerProblem === "";
    this.#serving = engines;
    this.#drawFields(chosen);
    byId("settings-reset").hidden = Object.keys(chosen).length === 0;
    setText(byId("settings-apply"), isInCall ? "Apply and go on" : "Apply");
    setText(byId("settings-hint"), isInCall ? "The call is joined again at once; the conversation goes on." : "");
    this.#chosen = JSON.stringify(this.#read());
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  /** An edit is not lost without a question. */
  #leave() {
    if (JSON.stringify(this.#read()) === this.#chosen) this.#dialog.close();
    else askFirst(UNSAVED, () => this.#dialog.close());
  }

  #drawFields(chosen) {
    const settings = this.#offer?.settings ?? {};
    this.#fields.clear();
    byId("settings-fields").replaceChildren(
      ...groupsOf(settings).map((group) => {
        const set = create("fieldset");
        set.append(create("legend", "", group.title));
        for (const [key, label] of Object.entries(group.settings)) {
          const value = Object.hasOwn(chosen, key) ? chosen[key] : settings[key].value;
          set.append(this.#drawField(key, label, settings[key], value));
        }
        return set;
      }),
    );
    this.#drawVoices(chosen["tts.voice"] ?? settings["tts.voice"]?.value ?? "");
  }

  #drawField(key, label, setting, value) {
    const field = settingField(key, label, setting, value);
    this.#fields.set(key, field);
    const [stage, name] = key.split(".");
    if (name === "engine") field.element.append(...describeEngines(field.control, this.#offer.engines?.[stage] ?? []));
    if (key === "tts.engine") field.control.addEventListener("change", () => this.#drawVoices(""));
    return field.element;
  }

  /** The voices are those of the engine that is chosen, or that serves where none is. */
  #drawVoices(chosen) {
    const field = this.#fields.get("tts.voice");
    if (!field) return;
    const wanted = this.#fields.get("tts.engine")?.read() ?? "auto";
    const engine = wanted === "auto" ? this.#serving.tts?.engine : wanted;
    const voices = this.#offer.voices?.[engine] ?? [];
    if (voices.length === 0) return;
    const select = voiceSelect(chosen, voices, field.control.id);
    field.control.replaceWith(select);
    this.#fields.set("tts.voice", { ...field, control: select, read: () => select.value || null });
  }

  /** @returns {object} what differs from the server's own settings */
  #read() {
    const chosen = {};
    for (const [key, { read }] of this.#fields) {
      const value = read();
      if (value !== (this.#offer.settings[key].value ?? null)) chosen[key] = value;
    }
    return chosen;
  }
}
