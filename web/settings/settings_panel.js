// The settings of the next call, and of this one while it goes on: built from what the server offers.

import { askFirst } from "/confirm.js";
import { DevicePickers } from "/call/devices.js";
import { create, setText } from "/dom.js";
import { cards, stopSample } from "/settings/cards.js";
import { describeEngines } from "/settings/engine_field.js";
import { inWords, spokenLanguages } from "/settings/names.js";
import { settingField } from "/settings/setting_field.js";
import { groupsOf, modelsOf } from "/settings/settings_list.js";
import { unknownVoices, voiceField } from "/settings/voice_field.js";
import { makeSheet, named, pressed } from "/sheet.js";

const NEEDS_CALL = "The call is joined again for it; the conversation goes on.";
const UNSAVED = {
  title: "Throw your changes away?",
  text: "What you changed here is not applied yet.",
  no: "Keep editing",
  yes: "Throw away",
};

export class SettingsPanel {
  devices;
  #dialog;
  #none = named("p", "settings-none", "hint");
  #models = pressed("Better voice and ears", "models-in-settings");
  #fieldsPlace = named("div", "settings-fields");
  #hint = named("p", "settings-hint", "hint");
  #reset = pressed("Reset", "settings-reset", "quiet");
  #apply = Object.assign(named("button", "settings-apply", "primary", "Apply"), { type: "submit" });
  #chosen = "{}";
  #before = {};
  #fields = new Map();
  #offer = null;
  #serving = {};
  #isInCall = false;

  /**
   * @param {Choices} choices - hold the devices that are chosen
   * @param {object} handlers - onApply(options); onReset(); onModels(): their sheet is wanted; onMicrophone(id); onLoudspeaker(id)
   */
  constructor(choices, { onApply, onReset, onModels, ...onDevices }) {
    this.devices = new DevicePickers(choices, onDevices);
    this.#models.setAttribute("aria-haspopup", "dialog");
    const body = [this.devices.element, this.#models, this.#none, this.#fieldsPlace];
    const { dialog, form, close } = makeSheet("settings", "Settings", body, [this.#hint, this.#reset, this.#apply]);
    this.#dialog = dialog;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      onApply(this.#read());
      dialog.close();
    });
    close.addEventListener("click", () => this.leave());
    dialog.addEventListener("cancel", (event) => {
      if (event.target !== dialog) return;
      event.preventDefault();
      this.leave();
    });
    dialog.addEventListener("close", stopSample);
    this.#models.addEventListener("click", () => this.leave(onModels));
    this.#reset.addEventListener("click", () => {
      onReset();
      dialog.close();
    });
  }

  get isOpen() {
    return this.#dialog.open;
  }

  /**
   * @param {ServerWatch} server - its offer is what can be chosen
   * @param {object} chosen - {setting: value} that differ from the server's own
   * @param {object} engines - that serve now, {stage: {engine}}
   * @param {boolean} isInCall
   */
  open({ offer, offerProblem }, chosen, engines, isInCall) {
    this.#offer = offer;
    setText(this.#none, offerProblem);
    this.#none.hidden = offerProblem === "";
    this.#models.hidden = offer?.models !== true;
    this.#serving = engines;
    this.#isInCall = isInCall;
    this.#before = chosen;
    this.#drawFields(chosen);
    this.#reset.hidden = Object.keys(chosen).length === 0;
    setText(this.#apply, isInCall ? "Apply and go on" : "Apply");
    setText(this.#hint, isInCall ? "It takes effect in this call, from the next answer on." : "");
    this.#chosen = JSON.stringify(this.#read());
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  /** An edit is not lost without a question. @param {() => void} [onLeft] - done once it is closed */
  leave(onLeft = () => {}) {
    const close = () => {
      this.#dialog.close();
      onLeft();
    };
    if (JSON.stringify(this.#read()) === this.#chosen) close();
    else askFirst(UNSAVED, close);
  }

  #drawFields(chosen) {
    const settings = this.#offer?.settings ?? {};
    const valueOf = (key) => (Object.hasOwn(chosen, key) ? chosen[key] : settings[key]?.value);
    this.#fields.clear();
    this.#fieldsPlace.replaceChildren(...groupsOf(settings).map((group) => this.#drawGroup(group, valueOf)));
    this.#drawVoices(valueOf("tts.voice") ?? "", valueOf("tts.language") ?? "");
  }

  #drawGroup({ title, isAdvanced, settings }, valueOf) {
    const set = create("fieldset");
    const keys = Object.keys(settings);
    const joins = this.#isInCall ? keys.filter((key) => !(this.#offer.live ?? []).includes(key)) : [];
    set.append(create("legend", isAdvanced ? "visually-hidden" : "", title));
    if (joins.length === keys.length) set.append(create("p", "hint", NEEDS_CALL));
    for (const key of keys) {
      const element = this.#drawField(key, settings[key], valueOf(key));
      if (joins.length < keys.length && joins.includes(key)) element.append(create("p", "hint", NEEDS_CALL));
      set.append(element);
    }
    if (!isAdvanced) return set;
    const details = create("details", "advanced");
    details.append(create("summary", "", title), set);
    return details;
  }

  #drawField(key, label, value) {
    const setting = this.#offer.settings[key];
    const field = key === "persona.name" && this.#offer.personas ? this.#personas(key, label, value) : null;
    const drawn = field ?? settingField(key, label, this.#asChoice(key, setting, value), value);
    this.#fields.set(key, drawn);
    const [stage, name] = key.split(".");
    if (name === "engine") drawn.element.append(...describeEngines(drawn.control, this.#offer.engines?.[stage] ?? []));
    if (key === "tts.engine") drawn.control.addEventListener("change", () => this.#drawVoices("", this.#language()));
    return drawn.element;
  }

  #personas(key, label, chosen) {
    const known = this.#offer.personas.map(({ name, description }) => ({ value: name, name: inWords(name), about: description }));
    return cards(key, label, known, chosen);
  }

  /** What is spoken is chosen by name. */
  #asChoice(key, setting, value) {
    if (key !== "stt.language") return setting;
    const named = spokenLanguages(value ?? setting.value);
    return { ...setting, description: "", choices: named.map(([code]) => code), words: Object.fromEntries(named) };
  }

  #language() {
    return this.#fields.get("tts.language")?.read() ?? this.#offer.settings["tts.language"]?.value ?? "";
  }

  /** The voices are those of the engine that is chosen, or that serves where none is; an engine tells them once loaded. */
  #drawVoices(chosen, language) {
    const field = this.#fields.get("tts.voice");
    if (!field) return;
    const wanted = this.#fields.get("tts.engine")?.read() ?? "auto";
    const engine = wanted === "auto" ? this.#serving.tts?.engine : wanted;
    const voices = this.#offer.voices?.[engine] ?? [];
    if (voices.length === 0 && engine === this.#serving.tts?.engine) return;
    const drawn = voices.length > 0 ? voiceField(engine, voices, chosen, language) : unknownVoices(language);
    field.element.replaceWith(drawn.element);
    this.#fields.get("tts.language")?.element.remove();
    this.#fields.set("tts.voice", { element: drawn.element, read: () => drawn.read().voice });
    if (!this.#fields.has("tts.language")) return;
    this.#fields.set("tts.language", { element: create("div"), read: () => drawn.read().language });
  }

  /** @returns {object} what differs from the server's own settings */
  #read() {
    const chosen = {};
    for (const [key, { read }] of this.#fields) {
      const value = read();
      if (value !== (this.#offer.settings[key].value ?? null)) chosen[key] = value;
    }
    return { ...chosen, ...modelsOf(this.#before, chosen) };
  }
}
