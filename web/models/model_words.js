// Models in words: sizes, speeds, where they come from, how far they are, and which of them would be better ones.

const STAGES = { stt: "Ears", tts: "Voice", llm: "Mind" };
const LICENCES = { "LicenseRef-NVIDIA-Open-Model-License": "NVIDIA Open Model License", "LicenseRef-public-domain": "public domain" };
const languages = new Intl.DisplayNames(["en"], { type: "language" });

/** @returns {string} such as "63 MB" */
export function describeSize(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes < 1e5) return `${Math.round(bytes / 1e3)} kB`;
  return `${bytes >= 1e7 ? Math.round(bytes / 1e6) : (bytes / 1e6).toFixed(1)} MB`;
}

/** @returns {string} name, language, size, licence, and where it comes from */
export function describeFacts({ stage, name, language, licence, size_bytes: size, origins, state }) {
  const spoken = language === "multilingual" ? "many languages" : languages.of(language);
  const facts = [`${STAGES[stage]}: ${name}`, spoken, describeSize(size), LICENCES[licence] ?? licence];
  if (["absent", "partly"].includes(state) && origins.length > 0) facts.push(`from ${origins[0]}`);
  return facts.join(" · ");
}

/** @returns {string} how fast it is on the server's machine; "" where nothing is known */
export function describeSpeed({ stage, speed }) {
  if (!speed) return "";
  const work = { stt: "to hear", tts: "to say", llm: "to write" }[stage];
  const verdict = speed.keeps_up ? "fast enough for a conversation" : "too slow for a conversation";
  const how = speed.kind === "measured" ? "measured" : "estimated";
  return `Takes ${describeSecs(speed.factor)} here ${work} a second of speech (${how}): ${verdict}.`;
}

/** @returns {string} how far a pull is; "" where there is none */
export function describePull(pull) {
  if (!pull) return "";
  const { state, step, done_bytes: done, total_bytes: total } = pull;
  if (state === "waiting") return "Waits for the others.";
  if (state === "failed") return `${sentence(pull.problem)} ${sentence(pull.press)}`;
  if (state === "done") return "It is here.";
  const far = total > 0 ? `${describeSize(done)} of ${describeSize(total)}` : "";
  if (state === "paused") return far ? `Paused at ${far}.` : "Paused.";
  return `${step === "unpacking" ? "Unpacking" : "Fetching"}${far ? `: ${far}` : "…"}`;
}

/** @returns {boolean} whether a pull goes on */
export function isUnderWay({ state }) {
  return ["waiting", "running"].includes(state);
}

/** @returns {object[]} what suits the server's machine and is not here */
export function wantedOf({ models }) {
  return models.filter(({ recommended, state }) => recommended && ["absent", "partly"].includes(state));
}

/** @returns {object[]} of those, the ears and voices */
export function betterOf(known) {
  return wantedOf(known).filter(({ stage }) => stage !== "llm");
}

/** @returns {number} what is still to be fetched of these models */
export function bytesOf(models) {
  return models.reduce((sum, { size_bytes: size, done_bytes: done }) => sum + size - done, 0);
}

function describeSecs(secs) {
  return secs < 0.1 ? "less than 0.1 s" : `${secs < 10 ? secs.toFixed(1) : Math.round(secs)} s`;
}

function sentence(text) {
  return text ? `${text.charAt(0).toUpperCase()}${text.slice(1)}.` : "";
}
