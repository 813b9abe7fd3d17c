// A message of the agent's, said outside of a call: by the server's speech route, in the agent's voice.

import { Problem, asProblem } from "/problem.js";
import { refusalOf, unreachable } from "/server.js";

// As the server takes it.
const MAX_CHARS = 20_000;
const HELD = "Your browser is holding back the agent’s voice. Press “Say again” beside the message.";

export class ReadAloud {
  #audio = new Audio();
  #onProblem;
  #button = null;
  #ending = null;

  /** @param {(problem: Problem) => void} onProblem */
  constructor(onProblem) {
    this.#onProblem = onProblem;
  }

  /**
   * @param {string} text - plain or Markdown
   * @param {HTMLButtonElement} button - says it while it is pressed; a second press stops it
   * @param {{options: object, loudspeakerId: string}} choices
   */
  toggle(text, button, choices) {
    if (this.#button === button) this.stop();
    else this.say(text, button, choices);
  }

  /** @param {?HTMLButtonElement} button - is shown as pressed meanwhile; the rest as for `toggle` */
  async say(text, button, { options, loudspeakerId }) {
    this.stop();
    const ending = new AbortController();
    this.#ending = ending;
    this.#button = button;
    if (button) button.ariaPressed = "true";
    try {
      if (loudspeakerId && this.#audio.setSinkId) await this.#audio.setSinkId(loudspeakerId).catch(() => {});
      await this.#sayAll(piecesOf(text), options, ending.signal);
    } catch (error) {
      if (this.#ending === ending) this.#onProblem(problemOf(error));
    }
    if (this.#ending === ending) this.stop();
  }

  /** The next piece is made while one is heard: a long answer is not waited for. */
  async #sayAll(pieces, options, signal) {
    let next = speak(pieces[0], options, signal);
    for (let n = 0; n < pieces.length; n += 1) {
      const sound = await next;
      next = n + 1 < pieces.length ? speak(pieces[n + 1], options, signal) : null;
      // It is awaited in its turn.
      next?.catch(() => {});
      await this.#play(sound, signal);
    }
  }

  async #play(sound, signal) {
    signal.throwIfAborted();
    const address = URL.createObjectURL(sound);
    const over = new Promise((resolve) => {
      this.#audio.onended = resolve;
      signal.addEventListener("abort", resolve, { once: true });
    });
    try {
      this.#audio.src = address;
      await this.#audio.play();
      await over;
    } finally {
      URL.revokeObjectURL(address);
    }
    signal.throwIfAborted();
  }

  stop() {
    this.#ending?.abort();
    this.#ending = null;
    this.#audio.pause();
    this.#audio.removeAttribute("src");
    if (this.#button) this.#button.ariaPressed = null;
    this.#button = null;
  }
}

function problemOf(error) {
  return error.name === "NotAllowedError" ? new Problem(HELD) : asProblem(error, "The message could not be said");
}

/** @returns {string[]} paragraphs, of which none begins or ends within a block of code */
function piecesOf(text) {
  const pieces = [];
  for (const part of text.slice(0, MAX_CHARS).split(/\n\s*\n/)) {
    const isOpen = pieces.length > 0 && (pieces.at(-1).match(/^ {0,3}(```|~~~)/gm)?.length ?? 0) % 2 === 1;
    if (isOpen) pieces.push(`${pieces.pop()}\n\n${part}`);
    else if (part.trim() !== "") pieces.push(part);
  }
  return pieces;
}

async function speak(text, options, signal) {
  // A voice of another engine than the server's own is known in calls alone.
  const voice = options["tts.engine"] ? null : options["tts.voice"];
  const wish = { input: text, voice, speed: options["tts.speed"] };
  let response;
  try {
    response = await fetch("/v1/audio/speech", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(wish),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (!response.ok) throw await refusalOf(response, "to say it");
  return response.blob();
}
