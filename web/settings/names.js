// Languages, voices and personas by the names that people know.

const LANGUAGES = new Intl.DisplayNames(["en"], { type: "language" });
const REGIONS = new Intl.DisplayNames(["en"], { type: "region" });
// espeak's own codes.
const CODES = { cmn: "zh", "es-419": "es-419", yue: "yue" };

/** @returns {string} "English" for en, en-us and en-gb; the code where nobody knows it */
export function languageName(code) {
  const base = code.split("-")[0];
  return nameOf(LANGUAGES, CODES[base] ?? base) || "Any language";
}

// What ears may know; the engine that is chosen says so where it does not.
const SPOKEN = "ar bg ca cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv ms nl no pl pt ro ru sk sl sr sv ta th tr uk ur vi zh";

/** @returns {[string, string][]} code and name of each language that may be spoken, by name; `chosen` among them */
export function spokenLanguages(chosen) {
  const codes = [...new Set([...SPOKEN.split(" "), ...(chosen === "auto" ? [] : [chosen])])];
  const named = codes.map((code) => [code, languageName(code)]).sort(([, one], [, other]) => one.localeCompare(other));
  return [["auto", "Any language"], ...named];
}

/** @returns {string} "United States" for en-us; "" where a code names no region */
export function accentName(code) {
  const region = code.split("-").slice(1).find((part) => /^([a-z]{2}|\d{3})$/i.test(part));
  return region ? nameOf(REGIONS, region.toUpperCase()) : "";
}

/** @returns {string} "Heart" for af_heart, "Lessac" for en_US-lessac-medium, else its label */
export function voiceName({ name, label = name }) {
  const plain = /^[a-z]{2}_(\w+)$/.exec(name)?.[1] ?? /^[a-z]{2,3}_[A-Z]{2}-(\w+)-\w+$/.exec(name)?.[1] ?? label;
  return inWords(plain);
}

/** @returns {string} "Customer service" for customer-service */
export function inWords(name) {
  const words = name.replaceAll(/[-_]+/g, " ").trim();
  return /^[\w ]+$/.test(words) && !/\d/.test(words) ? words.charAt(0).toUpperCase() + words.slice(1) : name;
}

function nameOf(names, code) {
  try {
    return names.of(code) ?? code;
  } catch (error) {
    if (error instanceof RangeError) return code;
    throw error;
  }
}
