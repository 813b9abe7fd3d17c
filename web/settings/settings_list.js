// Which settings the panel shows, in which order and under which names. Others of the server's come after them.

export const GROUPS = [
  {
    title: "Who the agent is",
    settings: {
      "persona.name": "Persona",
      "llm.system_prompt": "What the agent is told about itself",
    },
  },
  { title: "Voice", settings: { "tts.voice": "Voice", "tts.language": "Language", "tts.speed": "Speed" } },
  {
    title: "Taking turns",
    settings: {
      "turn.mode": "Microphone",
      "turn.pace": "How soon it answers",
      "turn.barge_in": "What interrupts the agent",
      "stt.language": "You speak",
    },
  },
  {
    title: "What the agent may do",
    settings: {
      "tools.clock": "Time and date",
      "tools.sums": "Sums and units",
      "tools.timers": "Timers and alarms",
      "tools.files": "Files",
      "tools.memory": "Memory",
      "tools.knowledge": "Your documents",
      "tools.camera": "Camera, when you ask it to look",
    },
  },
  {
    title: "Advanced",
    isAdvanced: true,
    settings: {
      "interpreter.languages": "Interpret between two languages",
      "stt.engine": "Ears",
      "llm.engine": "Language model",
      "tts.engine": "What speaks",
      "turn.speculate": "Prepare answers early",
      "dialogue.filler": "While an answer is slow",
    },
  },
];

const PERMISSION_WORDS = { on: "Yes", ask: "Ask me first", off: "No" };

const CHOICE_WORDS = {
  "turn.mode": { open: "Always open", push_to_talk: "Open while I hold a button" },
  "turn.pace": { brisk: "Brisk", normal: "Normal", patient: "Patient" },
  "turn.barge_in": { words: "Words that want the floor", voice: "Any voice" },
  "dialogue.filler": { off: "Silence", words: "A few words", sound: "A soft sound" },
};

/** @returns {string} one choice of a setting in words */
export function describeChoice(key, choice) {
  if (choice === "auto") return "The best that is usable";
  if (key.startsWith("tools.")) return PERMISSION_WORDS[choice] ?? String(choice);
  return CHOICE_WORDS[key]?.[choice] ?? String(choice);
}

/** Chosen in the sheet of models, beside the engine of the same stage. */
const MODELS = ["stt.model", "llm.model", "tts.model"];

/** @returns {object} of the options of now, the models that still fit what is chosen */
export function modelsOf(now, chosen) {
  const kept = MODELS.filter((key) => {
    const engine = key.replace("model", "engine");
    return Object.hasOwn(now, key) && now[engine] === chosen[engine];
  });
  return Object.fromEntries(kept.map((key) => [key, now[key]]));
}

/** @returns {{title, settings, isAdvanced?}[]} groups of what this server has; what has no name here is advanced */
export function groupsOf(settings) {
  const known = new Set([...MODELS, ...GROUPS.flatMap((group) => Object.keys(group.settings))]);
  const others = Object.keys(settings).filter((key) => !known.has(key));
  return GROUPS.map(({ title, settings: wanted, isAdvanced = false }) => {
    const named = Object.entries(wanted).filter(([key]) => Object.hasOwn(settings, key));
    const rest = isAdvanced ? others.map((key) => [key, key]) : [];
    return { title, isAdvanced, settings: Object.fromEntries([...named, ...rest]) };
  }).filter((group) => Object.keys(group.settings).length > 0);
}
