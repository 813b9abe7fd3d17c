// A message of the agent's, said again outside of a call: by the server's speech route, in the agent's voice.

import { asProblem } from "/problem.js";
import { refusalOf, unreachable } from "/server.js";

// As the server takes it.
const MAX_CHARS = 20_000;

export class ReadAloud {
  #audio = new Audio();
  #onProblem;
  #button = null;
  #ending = null;

  /** @param {(problem: Problem) => void} onProblem */
  constructor(onProblem) {
    this.#onProblem = onProblem;
    this.#audio.addEventListener("ended", () => this.stop());
  }

  /**
   * @param {string} text - plain or Markdown
   * @param {HTMLButtonElement} button - says it while it is pressed; a second press stops it
   * @param {{options: object, loudspeakerId: string}} choices
   */
  async toggle(text, button, { options, loudspeakerId }) {
    const isStop = this.#button === button;
    this.stop();
    if (isStop) return;
    const ending = new AbortController();
    this.#ending = ending;
    this.#button = button;
    button.ariaPressed = "true";
    try {
      const sound = await speak(text, options, ending.signal);
      if (this.#ending !== ending) return;
      if (loudspeakerId && this.#audio.setSinkId) await this.#audio.setSinkId(loudspeakerId).catch(() => {});
      this.#audio.src = URL.createObjectURL(sound);
      await this.#audio.play();
    } catch (error) {
      if (this.#ending !== ending) return;
      this.stop();
      this.#onProblem(asProblem(error, "The message could not be said"));
    }
  }

  stop() {
    this.#ending?.abort();
    this.#ending = null;
    this.#audio.pause();
    if (this.#audio.src) URL.revokeObjectURL(this.#audio.src);
    this.#audio.removeAttribute("src");
    if (this.#button) this.#button.ariaPressed = null;
    this.#button = null;
  }
}

async function speak(text, options, signal) {
  // A voice of another engine than the server's own is known in calls alone.
  const voice = options["tts.engine"] ? null : options["tts.voice"];
  const wish = { input: text.slice(0, MAX_CHARS), voice, speed: options["tts.speed"] };
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
