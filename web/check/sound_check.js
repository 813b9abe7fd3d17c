// The check before the first call, ten seconds long: does the microphone hear, does the loudspeaker sound, do the ears
// understand? What is said goes to the server's ears once, and is kept nowhere.

import { CheckDialog } from "/check/check_dialog.js";
import { MicrophoneCheck, RATE_HZ } from "/check/microphone_check.js";
import { asWav, chime, shareOf } from "/check/sound.js";
import { OUTPUTS_CAN_BE_CHOSEN, fillDevices } from "/call/devices.js";
import { asProblem } from "/problem.js";
import { refusalOf, unreachable } from "/server.js";

const ANSWER_TIMEOUT_MS = 60_000;
const MICROPHONE = {
  new: ["Say something: the bar moves with your voice."],
  quiet: ["It is very quiet. Speak up, come closer, or choose another microphone."],
  silent: [
    "Nothing comes from this microphone. Is it switched off at itself, at its cable, or in the system’s settings? " +
      "Or choose another one.",
    "bad",
  ],
  heard: ["It hears you.", "good"],
};
const PLAYED = "Two soft tones.";
const UNHEARD =
  "Turn the volume up and the mute switch off, look whether headphones or another screen took the sound, and play it again.";
const CHOOSE = " Or choose another loudspeaker here.";
const NO_WORDS = "No words were understood. Say “hello” once more, louder or closer; in a quiet room it is easier.";

/**
 * @param {{microphoneId: string, loudspeakerId: string}} choices
 * @param {{onMicrophone: (id: string) => void, onLoudspeaker: (id: string) => void}} handlers - keep what is chosen here
 * @returns {Promise<void>} once the person has closed it
 */
export async function checkSound(choices, handlers) {
  await new SoundCheck(choices, handlers).run();
}

class SoundCheck {
  #choices;
  #dialog = new CheckDialog();
  #microphone = new MicrophoneCheck((dbfs) => this.#showLevel(dbfs));
  #audio = new Audio(URL.createObjectURL(chime()));
  #ending = new AbortController();

  constructor(choices, { onMicrophone, onLoudspeaker }) {
    this.#choices = choices;
    const { again, microphones, loudspeakers, play, heard, unheard, listen } = this.#dialog;
    const choose = (keep, go) => ({ target }) => (keep(target.value), go());
    microphones.addEventListener("change", choose(onMicrophone, () => this.#openMicrophone()));
    loudspeakers.addEventListener("change", choose(onLoudspeaker, () => this.#play()));
    loudspeakers.hidden = !OUTPUTS_CAN_BE_CHOSEN;
    for (const [button, act] of [
      [again, () => this.#openMicrophone()],
      [play, () => this.#play()],
      [heard, () => this.#judge(true)],
      [unheard, () => this.#judge(false)],
      [listen, () => this.#listen()],
    ]) {
      button.addEventListener("click", act);
    }
  }

  async run() {
    const closed = this.#dialog.show();
    this.#openMicrophone();
    await closed;
    this.#ending.abort();
    this.#microphone.close();
    this.#audio.pause();
    URL.revokeObjectURL(this.#audio.src);
  }

  async #openMicrophone() {
    const { again, ears, listen, microphone } = this.#dialog;
    listen.disabled = true;
    again.hidden = true;
    microphone.tell("");
    ears.tell("");
    try {
      await this.#microphone.open(this.#choices.microphoneId, () => microphone.tell("Your browser is asking: choose Allow."));
      listen.disabled = this.#ending.signal.aborted;
    } catch (error) {
      const { message, mend } = asProblem(error, "The microphone could not be tried");
      microphone.tell(message, "bad", mend);
      again.hidden = false;
    }
    await this.#listDevices();
  }

  /** Devices have names once one was allowed. */
  async #listDevices() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const of = (wanted) => devices.filter(({ kind }) => kind === wanted);
    fillDevices(this.#dialog.microphones, of("audioinput"), this.#choices.microphoneId);
    fillDevices(this.#dialog.loudspeakers, of("audiooutput"), this.#choices.loudspeakerId);
  }

  #showLevel(dbfs) {
    this.#dialog.level.value = shareOf(dbfs);
    this.#dialog.microphone.tell(...MICROPHONE[this.#microphone.verdict]);
  }

  async #play() {
    const { loudspeaker } = this.#dialog;
    loudspeaker.tell(PLAYED);
    try {
      await this.#useLoudspeaker();
      this.#audio.currentTime = 0;
      await this.#audio.play();
      this.#dialog.isAsking = true;
    } catch (error) {
      loudspeaker.tell(`The sound could not be played: ${error.message}`, "bad");
    }
  }

  async #useLoudspeaker() {
    if (!OUTPUTS_CAN_BE_CHOSEN) return;
    try {
      await this.#audio.setSinkId(this.#choices.loudspeakerId);
    } catch (error) {
      if (error.name !== "NotFoundError") throw error;
      await this.#audio.setSinkId("");
    }
  }

  #judge(wasHeard) {
    this.#dialog.isAsking = false;
    this.#dialog.play.focus();
    if (wasHeard) this.#dialog.loudspeaker.tell("You hear the agent.", "good");
    else this.#dialog.loudspeaker.tell(UNHEARD + (OUTPUTS_CAN_BE_CHOSEN ? CHOOSE : ""), "bad");
  }

  async #listen() {
    const { ears, listen } = this.#dialog;
    this.#audio.pause();
    listen.disabled = true;
    ears.tell("Say “hello”…");
    const chunks = await this.#microphone.take();
    if (this.#ending.signal.aborted) return;
    ears.tell("Working out what it was…");
    try {
      const text = await understand(asWav(chunks, RATE_HZ), this.#ending.signal);
      ears.tell(...(text ? [`Heard as: “${text}”`, "good"] : [NO_WORDS, "bad"]));
    } catch (error) {
      if (!this.#ending.signal.aborted) tellProblem(ears, error);
    }
    listen.disabled = false;
  }
}

function tellProblem(step, error) {
  const { message, mend } = asProblem(error, "What you said could not be put into words");
  step.tell(message, "bad", mend);
}

/** @returns {Promise<string>} the words in a sound file, by the server's own ears */
async function understand(wav, signal) {
  const form = new FormData();
  form.append("file", wav, "hello.wav");
  let response;
  try {
    const ending = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
    response = await fetch("/api/transcribe", { method: "POST", body: form, signal: ending });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (!response.ok) throw await refusalOf(response, "the sound");
  return (await response.json()).text.trim();
}
