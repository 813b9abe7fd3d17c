// The page's state, drawn.

import { Announcer } from "/conversation/announcer.js";
import { captionOf } from "/conversation/caption.js";
import { byId, create, setText } from "/dom.js";
import { describeBetter, drawAnswerTime, drawEngines, summarizeEngines } from "/conversation/engines.js";
import { FLOOR, MICROPHONE, isAgentBusy } from "/floor.js";
import { late, withStyles } from "/late.js";
import { describePrivacy } from "/privacy.js";
import { asProblem } from "/problem.js";
import { recordingAddresses } from "/server.js";

const STYLES = [
  "/styles/conversation.css",
  "/styles/messages.css",
  "/styles/tools.css",
  "/styles/markdown.css",
  "/styles/panels.css",
];

export class View {
  announcer = new Announcer(byId("announcer"));
  #page = null;
  #onProblem;
  #transcript = null;
  #drawTiming = null;
  #loadTranscript = late(() => this.#makeTranscript());
  #loadTiming = late(() => this.#makeTiming());
  #drawnEngines = "";
  #drawnProblem = null;
  #microphone = "off";

  /** @param {(problem: Problem) => void} onProblem - what is to be shown could not be loaded */
  constructor(onProblem = () => {}) {
    this.#onProblem = onProblem;
  }

  /** Load what shows words before there are any. */
  prepare() {
    return this.#loadTranscript();
  }

  /**
   * @param {object} page
   *   state: a key of FLOOR; isWanted: a call is open, opening or coming back; conversation: a Conversation;
   *   microphone: a key of MICROPHONE; problem: Problem | null; isComingBack: from that problem, by itself;
   *   isSoundHeld: the browser refused to play;
   *   engines: {stage: engine}; answerSecs: what an answer takes with them, null where unknown; link: stats of the call, {} while they are not known, null without one;
   *   hasKept: conversations are kept; canRecord: the server offers it; recorded: id or "";
   *   nChoices: how many settings are not the server's own; isRestored: the conversation began before a reload
   */
  draw(page) {
    this.#page = page;
    const { state, conversation } = page;
    document.body.dataset.state = state;
    byId("caption").dataset.words = captionOf(state, conversation.items);
    const told = state === "asleep" ? `${FLOOR.asleep}: say ${conversation.wakePhrase}` : FLOOR[state];
    if (state === "asleep" && byId("state").textContent !== told) this.announcer.say(`${told}.`);
    setText(byId("state"), told);
    this.#drawMicrophone(page.microphone);
    drawButtons(page);
    drawConversationTools(page);
    byId("sound-hint").hidden = !page.isSoundHeld;
    byId("meters").hidden = !["on", "held", "muted"].includes(page.microphone);
    byId("recording-sign").hidden = !conversation.isRecording;
    this.#drawProblem(page.problem, page.isComingBack);
    this.#drawEngines(page.engines);
    drawAnswerTime(byId("answer-time"), page.answerSecs);
    drawWelcome(page);
    this.#drawTimes();
    this.#drawItems();
    this.announcer.follow(state);
  }

  #drawTimes() {
    const { conversation, link } = this.#page;
    if (byId("details").hidden) return;
    if (this.#drawTiming) this.#drawTiming(conversation.items, conversation.timings, link);
    else this.#loadTiming().catch(() => {});
  }

  #drawItems() {
    const { state, conversation } = this.#page;
    if (this.#transcript) this.#transcript.draw(conversation.items, state === "speaking" || state === "ducked");
    else if (conversation.items.length > 0) this.#loadTranscript().catch(() => {});
  }

  async #makeTranscript() {
    try {
      const [{ Transcript }] = await Promise.all([import("/conversation/transcript.js"), withStyles(...STYLES)]);
      this.#transcript = new Transcript(byId("conversation"));
    } catch (error) {
      this.#onProblem(asProblem(error, "The conversation could not be shown"));
      throw error;
    }
    if (this.#page) this.#drawItems();
  }

  async #makeTiming() {
    try {
      ({ drawTiming: this.#drawTiming } = await import("/conversation/timing_panel.js"));
    } catch (error) {
      this.#onProblem(asProblem(error, "The times could not be shown"));
      throw error;
    }
    this.#drawTimes();
  }

  #drawMicrophone(microphone) {
    const sign = byId("microphone");
    sign.dataset.microphone = microphone;
    setText(sign, MICROPHONE[microphone]);
    if (microphone !== this.#microphone && microphone !== "held") this.announcer.say(`${MICROPHONE[microphone]}.`);
    this.#microphone = microphone;
  }

  /** Drawn anew only when it changes, for it is an alert: not at every attempt to come back. */
  #drawProblem(problem, isComingBack) {
    const wanted = problem && [problem.message, problem.mend, isComingBack].join("\n");
    if (wanted === this.#drawnProblem) return;
    this.#drawnProblem = wanted;
    const box = byId("problem");
    box.hidden = problem === null;
    box.replaceChildren(problem?.message ?? "");
    // The message leads to the command: nothing comes between them.
    if (problem?.mend) box.append(" ", create("code", "", problem.mend));
    if (problem && isComingBack) box.append(problem.mend ? ". " : " ", "The page comes back to the call by itself.");
  }

  #drawEngines(engines) {
    const wanted = JSON.stringify(engines);
    if (wanted === this.#drawnEngines) return;
    this.#drawnEngines = wanted;
    setText(byId("engines-short"), summarizeEngines(engines) || "not known yet");
    setText(byId("why"), describePrivacy(engines, location.hostname));
    const better = describeBetter(engines);
    byId("better").hidden = better === "";
    setText(byId("better"), better);
    drawEngines(byId("engines-list"), engines);
  }
}

function drawButtons({ state, isWanted, microphone, conversation, canRecord, nChoices }) {
  const isOpen = ["on", "held", "muted"].includes(microphone);
  byId("talk").disabled = state === "starting" || state === "away";
  setText(byId("talk-label"), isWanted ? "Leave" : "Start talking");
  byId("mute").setAttribute("aria-pressed", String(microphone === "muted"));
  show("hold", isOpen && conversation.isPushToTalk);
  show("mute", isOpen);
  drawInterrupt(state, isOpen);
  show("try-now", state === "waiting");
  show("record-choice", canRecord);
  show("n-choices", nChoices > 0);
  setText(byId("n-choices"), `${nChoices} changed`);
}

/** In a call it keeps its place and the keyboard, so that nothing else comes under the thumb, Leave least of all. */
function drawInterrupt(state, isOpen) {
  const isBusy = isAgentBusy(state);
  byId("interrupt").setAttribute("aria-disabled", String(!isBusy));
  show("interrupt", isOpen || isBusy);
}

/** What is hidden cannot keep the keyboard: the call's button takes it. */
function show(id, isShown) {
  const element = byId(id);
  if (!isShown && !element.hidden && element === document.activeElement) byId("talk").focus();
  element.hidden = !isShown;
}

function drawConversationTools({ conversation, recorded, isWanted, hasKept }) {
  show("open-conversations", hasKept);
  show("open-menu", conversation.items.length > 0 || hasKept);
  for (const id of ["save-text", "start-over"]) show(id, conversation.items.length > 0);
  show("delete", conversation.id !== "");
  byId("recording").hidden = recorded === "" || isWanted;
  if (recorded === "") return;
  const { sound, events } = recordingAddresses(recorded);
  byId("recording-sound").href = sound;
  byId("recording-events").href = events;
}

function drawWelcome({ state, conversation, isRestored, isWanted }) {
  const isAsking = state === "asking";
  const isInCall = isWanted && !isAsking;
  byId("welcome").hidden = conversation.items.length > 0;
  const first = isAsking ? "May the agent hear you?" : isRestored ? "Welcome back." : "Say something.";
  setText(byId("welcome-first"), isInCall ? "Go ahead." : first);
  byId("welcome-how").hidden = isInCall || isAsking;
  byId("chips").hidden = isAsking || ["starting", "away", "connecting", "waiting"].includes(state);
  byId("why").hidden = isInCall;
  byId("check-sound").hidden = isInCall || isAsking;
  byId("better-line").classList.toggle("unwanted", isInCall || isAsking);
}
