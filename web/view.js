// The page's state, drawn.

import { create, setText } from "/dom.js";
import { drawEngines, summarizeEngines } from "/engines.js";
import { holdToTalk } from "/push_to_talk.js";
import { Transcript } from "/transcript.js";

const STATE_WORDS = {
  starting: "The models are being loaded…",
  idle: "Idle",
  connecting: "Connecting…",
  listening: "Listening",
  hearing: "Hearing you",
  thinking: "Thinking…",
  speaking: "Speaking",
};
const MICROPHONE_WORDS = { on: "Microphone is on", muted: "Microphone is muted", off: "Microphone is off" };

export class View {
  #transcript = new Transcript(part("conversation"));
  #drawnEngines = "";
  #drawnProblem = null;

  /** @param {{onTalk, onMute, onHold, onPlaySound}} handlers - what each button does */
  constructor({ onTalk, onMute, onHold, onPlaySound }) {
    part("talk").addEventListener("click", onTalk);
    part("mute").addEventListener("click", onMute);
    holdToTalk(part("hold"), onHold);
    part("play-sound").addEventListener("click", onPlaySound);
    part("engines").open = matchMedia("(min-width: 64rem)").matches;
  }

  /** @returns {HTMLAudioElement} where the agent's voice is played */
  get voice() {
    return part("voice");
  }

  /**
   * @param {object} page
   *   isPushToTalk: the microphone counts only while a button is held;
   *   state: a key of STATE_WORDS; isTalking: a call is open or opening; items: of the conversation;
   *   microphone: "on" | "muted" | "off"; problem: Problem | null; isSoundHeld: the browser refused to play;
   *   engines: {stage: engine}
   */
  draw(page) {
    document.body.dataset.state = page.state;
    document.title = page.microphone === "on" ? "● Sotto" : "Sotto";
    setText(part("state"), STATE_WORDS[page.state]);
    drawButtons(page);
    drawMicrophone(page.microphone);
    part("sound-hint").hidden = !page.isSoundHeld;
    this.#drawProblem(page.problem);
    this.#drawEngines(page.engines);
    part("welcome").hidden = page.items.length > 0 || page.isTalking;
    this.#transcript.draw(page.items);
  }

  #drawProblem(problem) {
    if (problem === this.#drawnProblem) return;
    this.#drawnProblem = problem;
    const box = part("problem");
    box.hidden = problem === null;
    box.replaceChildren(problem?.message ?? "");
    if (problem?.mend) box.append(" ", create("code", "", problem.mend));
  }

  #drawEngines(engines) {
    const wanted = JSON.stringify(engines);
    if (wanted === this.#drawnEngines) return;
    this.#drawnEngines = wanted;
    setText(part("engines-short"), summarizeEngines(engines) || "not known yet");
    drawEngines(part("engines-list"), engines);
  }
}

function drawButtons({ state, isTalking, isPushToTalk, microphone }) {
  part("hold").hidden = !isPushToTalk || microphone === "off";
  const talk = part("talk");
  const mute = part("mute");
  talk.disabled = state === "starting";
  setText(talk, isTalking ? "Stop" : "Start talking");
  mute.setAttribute("aria-pressed", String(microphone === "muted"));
  if (microphone === "off" && document.activeElement === mute) talk.focus();
  mute.hidden = microphone === "off";
}

function drawMicrophone(microphone) {
  const sign = part("microphone");
  sign.dataset.microphone = microphone;
  setText(sign, MICROPHONE_WORDS[microphone]);
}

function part(id) {
  return document.getElementById(id);
}
