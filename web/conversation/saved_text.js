// The conversation as a text file, made by the page itself.

import { describeStage } from "/conversation/engines.js";

/** @param {object[]} items - of a Conversation @returns {string} */
export function asText(items) {
  return items.map((item) => `${line(item)}\n`).join("\n");
}

/** Hand the browser a file to save. */
export function saveText(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}

function line({ role, text, partial, unsaid, stage }) {
  if (role === "notice") return `[${stage ? `${describeStage(stage)}: ` : ""}${text}]`;
  if (role === "user") return `You: ${[text, partial].filter(Boolean).join(" ")}`;
  return `Agent: ${text}${unsaid ? ` [interrupted, not said: ${unsaid}]` : ""}`;
}
