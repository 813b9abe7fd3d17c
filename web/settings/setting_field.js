// One setting as a form field: the kind of control follows from the setting's value, choices and limits.

import { create, setText } from "/dom.js";
import { describeChoice } from "/settings/settings_list.js";

const LONG_TEXTS = new Set(["llm.system_prompt"]);

/**
 * @param {string} key - dotted, such as "tts.speed"
 * @param {string} label
 * @param {object} setting - {value, default, description, choices, min, max} of the server; words: {choice: name}
 * @param {*} value - what is chosen now
 * @returns {{element: HTMLElement, control: HTMLElement, read: () => *}} read: the chosen value, in the setting's type
 */
export function settingField(key, label, setting, value) {
  const { control, read, extra = [] } = controlFor(key, setting, value ?? "");
  control.id = `setting-${key.replace(".", "-")}`;
  control.name = key;
  const isSwitch = control.type === "checkbox";
  const element = create("div", isSwitch ? "field switch-field" : "field");
  const name = create("label", isSwitch ? "switch" : "", isSwitch ? "" : label);
  name.htmlFor = control.id;
  if (isSwitch) name.append(control, ` ${label}`);
  element.append(name, ...(isSwitch ? [] : [control]), ...extra);
  const { description = "" } = setting;
  if (description && description.toLowerCase() !== label.toLowerCase()) {
    const hint = create("p", "hint", `${description.charAt(0).toUpperCase()}${description.slice(1)}.`);
    hint.id = `${control.id}-hint`;
    control.setAttribute("aria-describedby", hint.id);
    element.append(hint);
  }
  return { element, control, read };
}

function controlFor(key, setting, value) {
  const kind = typeof (setting.value ?? setting.default ?? "");
  if (kind === "boolean") return switchControl(value === true);
  if (Array.isArray(setting.choices)) return choiceControl(key, setting, value);
  if (kind === "number") return numberControl(setting, value);
  return textControl(key, value);
}

function choiceControl(key, { choices, words = {} }, value) {
  const control = create("select");
  const named = (choice) => words[choice] ?? describeChoice(key, choice);
  control.append(...choices.map((choice) => new Option(named(choice), choice, false, choice === value)));
  return { control, read: () => choices.find((choice) => String(choice) === control.value) ?? control.value };
}

function switchControl(isOn) {
  const control = create("input");
  Object.assign(control, { type: "checkbox", checked: isOn });
  control.setAttribute("role", "switch");
  return { control, read: () => control.checked };
}

function numberControl({ min, max, value: own, default: standard }, value) {
  const control = create("input");
  const isRange = Number.isFinite(min) && Number.isFinite(max) && max - min <= 10;
  const isWhole = Number.isInteger(own ?? standard) && !isRange;
  Object.assign(control, { type: isRange ? "range" : "number", min: min ?? "", max: max ?? "" });
  control.step = isRange ? "0.05" : isWhole ? "1" : "any";
  control.value = value;
  const read = () => (control.value === "" ? null : Number(control.value));
  if (!isRange) return { control, read };
  const figure = create("output");
  const show = () => setText(figure, control.value);
  control.addEventListener("input", show);
  show();
  return { control, read, extra: [figure] };
}

function textControl(key, value) {
  const isLong = LONG_TEXTS.has(key);
  const control = create(isLong ? "textarea" : "input");
  if (isLong) control.rows = 5;
  else control.type = "text";
  control.value = value;
  control.spellcheck = isLong;
  return { control, read: () => control.value.trim() || null };
}
