// A typed question without a call: asked over HTTP, answered in pieces.

import { browserId, keptChoices, pageId } from "/kept.js";
import { Problem } from "/problem.js";
import { onceItIsFree, refusalOf, unreachable } from "/server.js";
import { readEvents } from "/conversation/sse.js";

/**
 * @param {string} text
 * @param {string} conversation - id of the one to go on with, or ""
 * @param {AbortSignal} signal - ends the answer
 * @param {{back?: {text: string, later: number}, pictures?: string[]}} more - a turn that goes first, with all that came
 *   after it; marks of pictures
 * @yields {{event: "conversation" | "delta" | "done" | "error", data: object}}
 * @throws {Problem} the server cannot be reached, refuses, or breaks off
 */
export async function* ask(text, conversation, signal, more = {}) {
  const response = await onceItIsFree(() => post(text, conversation, signal, more));
  let isDone = false;
  try {
    for await (const { event, data } of readEvents(response.body)) {
      isDone ||= event === "done" || event === "error";
      yield { event, data: JSON.parse(data || "{}") };
    }
  } catch (error) {
    if (signal.aborted) throw error;
    if (error instanceof SyntaxError) throw new Problem("The server’s answer could not be read.");
    throw new Problem("The connection to the server was lost in the middle of the answer.");
  }
  if (!isDone) throw new Problem("The server broke off in the middle of the answer.");
}

async function post(text, conversation, signal, more) {
  // Who wants no memory in his calls has none in writing.
  const remembered = keptChoices().options["tools.memory"] === "off" ? {} : { browser: browserId() };
  const body = { text, page: pageId(), ...remembered, ...(conversation ? { conversation } : {}), ...more };
  let response;
  try {
    response = await fetch("/api/chat", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (response.status === 404 || response.status === 405) {
    throw new Problem("This server can only be written to in a call: press Start talking first.");
  }
  if (!response.ok) throw await refusalOf(response, "the message");
  return response;
}
