// The conversation as a text file, made by the page itself.

import { describeStage } from "/conversation/engines.js";
import { describePicture } from "/conversation/picture_item.js";
import { inALine } from "/conversation/tool_calls.js";
import { describeTool } from "/conversation/tool_item.js";

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

/** @param {object} item - the user's or the agent's @returns {string} its words; of a spoken answer what was heard, as written */
export function messageText({ text, replies = [], isInterrupted }) {
  return replies.length > 0 ? asWritten(replies, isInterrupted)[0] : text;
}

function line(item) {
  const { role, partial, stage, replies = [], isInterrupted } = item;
  let { text, unsaid } = item;
  if (role === "tool") return `[${item.name}: ${inALine(item.given)} (${describeTool(item)})]`;
  if (role === "picture") return `[${describePicture(item)}]`;
  if (role === "notice") return `[${stage ? `${describeStage(stage)}: ` : ""}${text}]`;
  if (role === "user") {
    const pictures = item.nPictures ? `[${item.nPictures === 1 ? "1 picture" : `${item.nPictures} pictures`}]` : "";
    return `You: ${[text, partial, pictures].filter(Boolean).join(" ")}`;
  }
  if (replies.length > 0) [text, unsaid] = asWritten(replies, isInterrupted);
  return `Agent: ${text}${unsaid ? ` [interrupted, not said: ${unsaid}]` : ""}`;
}

/** @returns {[string, string]} what was heard of spoken answers, as it was written, and what was not */
function asWritten(replies, isInterrupted) {
  const texts = replies.map(({ text }) => text.trim());
  const latest = isInterrupted ? replies.findLastIndex(({ end }) => end > 0) : replies.length;
  const characters = [...(replies[latest]?.text ?? "")];
  const end = replies[latest]?.end ?? 0;
  const heard = [...texts.slice(0, Math.max(0, latest)), characters.slice(0, end).join("").trim()];
  const unsaid = [characters.slice(end).join("").trim(), ...texts.slice(latest + 1)];
  return [heard, unsaid].map((parts) => parts.filter(Boolean).join("\n\n"));
}
