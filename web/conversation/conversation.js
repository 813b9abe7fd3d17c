// The conversation as the page knows it: lines of the event log in, items and an activity out. No DOM, no network.

import { Activity } from "/conversation/activity.js";
import { Items } from "/conversation/items.js";
import { Pictures, attach } from "/conversation/pictures.js";
import { answeringOf, cut, isPieceOfReply, noteWritten, plan, say } from "/conversation/spoken_item.js";
import { Timings } from "/conversation/timings.js";
import { ToolCalls } from "/conversation/tool_calls.js";
import { join, words } from "/conversation/words.js";

const NOTED =
  "The older turns are notes now: the agent knows what stands in them, and no longer each word. Yours stay on this page.";
const NOTED_BEFORE = "What was said before this stands in the agent's notes.";

/**
 * items: see items.js
 * id: of the conversation at the server, "" if none is known
 * engines: what session_started named, else null
 * answerSecs: what a person waits for an answer with them, as the server has measured; null where it does not know
 * isPushToTalk: the microphone counts only while a button is held
 * sees: the language model of the call takes pictures
 * isRecording: the server writes the sound of this session down
 */
export class Conversation {
  engines = null;
  answerSecs = null;
  isPushToTalk = false;
  isRecording = false;
  sees = false;
  timings = new Timings();
  tools = this.#newTools();
  pictures = this.#newPictures();
  #items = new Items();
  #activity = new Activity();
  #userItem = null;
  #agentItem = null;
  #writtenItem = null;
  #latency = null;
  #answering = null;
  #wasRecorded = false;

  constructor(id = "") {
    this.id = id;
  }

  get items() {
    return this.#items.all;
  }

  /** @returns {string} see Activity */
  get activity() {
    return this.#activity.now(this.#writtenItem !== null);
  }

  /** @returns {string} what wakes the agent while it sleeps, as it is said; else "" */
  get wakePhrase() {
    return this.#activity.wakePhrase;
  }

  /** @param {object} event - one line of the event log; unknown ones change nothing */
  apply(event) {
    const text = words(event.text);
    switch (event.event) {
      case "session_started": this.#start(event); break;
      case "settings_changed": this.#change(event); break;
      case "user_started_speaking": this.#activity.isUserSpeaking = true; break;
      case "user_stopped_speaking": this.#activity.pauseUser(this.#userItem !== null); break;
      case "partial_transcript": this.#hear("", text); break;
      case "transcript": this.#hear(text, ""); break;
      case "turn_ended": this.#endTurn(text, event.source === "typed"); break;
      case "reply_text": this.write(typeof event.text === "string" ? event.text : ""); break;
      case "llm_first_token": this.#noteModel(event); break;
      case "reflex": this.#noteModel({}); break;
      case "llm_done": this.endWriting(); break;
      case "bot_started_speaking": this.#activity.startAgent(); break;
      case "bot_planned": if (text) plan(this.#openAgentItem(), text); break;
      case "bot_written": if (isPieceOfReply(event)) noteWritten(this.#openAgentItem(), event); break;
      case "bot_word": if (text) say(this.#openAgentItem(), text, event); break;
      case "bot_stopped_speaking": this.#activity.isAgentSpeaking = false; break;
      case "asleep": this.#activity.sleep(Array.isArray(event.phrases) ? event.phrases.map(words).filter(Boolean) : []); break;
      case "awake": this.#activity.sleep([]); break;
      case "playout": this.#activity.play(event.level); break;
      case "interruption": this.#interrupt(words(event.heard), words(event.planned)); break;
      // What was heard over the agent asks for nothing: it speaks up again.
      case "false_interruption": this.#activity.playFully(); this.#dropUserItem(); break;
      case "latency": this.#noteLatency(event); break;
      case "speculation": this.timings.noteSpeculation(event.outcome); break;
      case "tool_call": case "tool_result": case "tool_cancelled": case "tool_undo": this.tools.apply(event); break;
      case "camera_asked": case "camera_taken": case "camera_failed": this.pictures.apply(event); break;
      case "error": this.#fail(words(event.stage), words(event.message)); break;
      case "notes_made": this.notice(NOTED); break;
      case "started_over": this.#startOver(words(event.conversation)); break;
      case "went_back": this.goBack(event); break;
      case "session_ended": this.#endSession(words(event.reason)); break;
    }
  }

  /** A message was typed; the server's turn_ended confirms it. */
  type(text, pictures = []) {
    this.#closeAgentItem();
    attach(this.#items.addUser({ text, isTyped: true, isPending: true }), pictures);
  }

  /** The server has taken what was typed; an answer is on its way. */
  confirmTyped(text) {
    const pending = this.items.find((item) => item.isPending);
    if (pending) Object.assign(pending, { text, isPending: false });
    else this.#items.addUser({ text, isTyped: true });
    this.#activity.expectAnswer();
    this.#closeAgentItem();
  }

  /** What was typed and not taken by the server is not sent. */
  withdraw() {
    return this.#items.takePending();
  }

  /** A piece of a written answer. */
  write(piece) {
    if (piece === "") return;
    this.#activity.expectAnswer(false);
    this.#writtenItem ??= this.#addAgentItem({ isWritten: true, isStreaming: true, answering: this.#answering });
    this.#writtenItem.text += piece;
  }

  /**
   * @param {string} [text] - the whole answer, for one that did not come in pieces
   * @param {object} [told] - {model, why}, where one of two models has answered
   */
  endWriting(text = "", told = null) {
    if (this.#writtenItem === null && words(text)) this.write(text);
    if (this.#writtenItem) this.#writtenItem.isStreaming = false;
    if (this.#writtenItem && told) this.#writtenItem.answering = answeringOf(told);
    this.#writtenItem = null;
  }

  /** The answer to a typed message failed. */
  fail(stage, message) {
    this.endWriting();
    this.#fail(stage, message);
  }

  /**
   * The call is over, whoever ended it: nobody has the floor, and nothing is provisional any more.
   *
   * @returns {object[]} what was typed and not taken by the server; it stands here no more
   */
  hangUp() {
    this.#fallSilent();
    return this.withdraw();
  }

  notice(text, stage = "") {
    this.#items.add({ role: "notice", stage, text });
  }

  #fallSilent() {
    this.#dropUserItem();
    this.#closeAgentItem();
    this.tools.hangUp();
    this.pictures.hangUp();
    this.endWriting();
    this.#activity.hangUp();
    this.isRecording = this.isPushToTalk = false;
  }

  #change({ engines, answer_secs: answerSecs, push_to_talk: isPushToTalk, sees }) {
    this.engines = engines ?? null;
    this.answerSecs = answerSecs ?? null;
    this.sees = sees === true;
    this.isPushToTalk = isPushToTalk === true;
  }

  #start(event) {
    const { recording: isRecording, recorded_secs: recordedSecs, conversation, history, noted } = event;
    this.#change(event);
    this.isRecording = isRecording === true;
    const id = words(conversation);
    const isAnother = this.items.length > 0 && (id === "" || (this.id !== "" && id !== this.id));
    this.id = id || this.id;
    if (isAnother) this.notice("The agent does not remember what is above: a new conversation begins here.");
    // A recording goes on in the next call, unless the server has lost it.
    if (this.isRecording && this.#wasRecorded && !recordedSecs) this.notice("The recording begins anew here; what was recorded before is gone.");
    this.#wasRecorded ||= this.isRecording;
    if (this.items.length === 0) this.restore({ history, noted });
  }

  /** @param {{history: {role: string, text: string}[], noted: boolean}} told - what the server has of the conversation */
  restore({ history, noted }) {
    if (!Array.isArray(history)) return;
    if (noted === true) this.notice(NOTED_BEFORE);
    history.forEach(({ role, text }) => words(text) && this.#items.recall(role, words(text)));
  }

  /** @param {object} item - a user's message @returns {{text: string, later: number}} which turn that is, for the server */
  pointOf(item) {
    return this.#items.pointOf(item);
  }

  /** The server has gone back to before a turn: it goes, and what came after it. */
  goBack(point) {
    this.#items.goBack(point);
    this.#userItem = this.#agentItem = this.#writtenItem = null;
    this.#activity.silenceAgent();
  }

  /** @param {string} id - of the conversation that begins; "" where the server tells none */
  #startOver(id) {
    this.id = id || this.id;
    this.#items.clear();
    this.timings = new Timings();
    this.tools = this.#newTools();
    this.pictures = this.#newPictures();
    this.#userItem = this.#agentItem = this.#writtenItem = this.#latency = this.#answering = null;
    this.#activity.silenceAgent();
  }

  #endSession(reason) {
    this.#fallSilent();
    this.notice(`The conversation ended: ${reason || "no reason given"}.`);
  }

  #newTools() {
    return new ToolCalls((item) => this.#addBeforeAnswer(item));
  }

  #newPictures() {
    return new Pictures((item) => this.#addBeforeAnswer(item));
  }

  /** What is done for an answer stands before it. */
  #addBeforeAnswer(item) {
    return this.#items.addBefore(this.#agentItem ?? this.#userItem, item);
  }

  #addAgentItem(known) {
    return this.#items.addAgent(this.#userItem, known);
  }

  #hear(final, partial) {
    if (this.#userItem === null) {
      if (!final && !partial) return;
      this.#userItem = this.#items.addUser({});
    }
    this.#userItem.text = join(this.#userItem.text, final);
    this.#userItem.partial = partial;
    if (final && !this.#activity.isUserSpeaking) this.#activity.isThinking = true;
  }

  #endTurn(text, isTyped) {
    this.#latency = null;
    this.#activity.playFully();
    if (isTyped) return this.confirmTyped(text);
    this.#activity.expectAnswer(text !== "");
    if (text === "") return this.#dropUserItem();
    this.#hear(text, "");
    this.#userItem.text = text;
    this.#userItem = null;
    this.#closeAgentItem();
  }

  /** The user's sound was no turn: keep the words that were sure, drop those that were not. */
  #dropUserItem() {
    if (this.#userItem?.text === "") this.#items.remove(this.#userItem);
    else if (this.#userItem) this.#userItem.partial = "";
    this.#userItem = null;
    this.#activity.expectNothingMore();
  }

  #openAgentItem() {
    this.#agentItem ??= this.#addAgentItem({ latency: this.#latency, answering: this.#answering });
    return this.#agentItem;
  }

  /** What is not heard by now never will be. */
  #closeAgentItem() {
    if (this.#agentItem) this.#agentItem.ahead = "";
    if (this.#agentItem?.text === "" && this.#agentItem.unsaid === "") this.#items.remove(this.#agentItem);
    this.#agentItem = null;
  }

  #interrupt(heard, planned) {
    const wasSpeaking = this.#activity.isAgentSpeaking;
    this.#activity.silenceAgent();
    this.endWriting();
    if (!heard && !planned && !this.#agentItem) return;
    cut(this.#openAgentItem(), heard, planned, wasSpeaking);
    this.#closeAgentItem();
  }

  #noteLatency(event) {
    const latency = this.timings.note(event);
    if (latency === null) return;
    this.#latency = latency;
    if (this.#agentItem) this.#agentItem.latency = latency;
  }

  /** Where there are two language models, the one that answers now. */
  #noteModel({ model, why }) {
    this.#answering = answeringOf({ model, why });
    // Not yet of an answer that is prepared before the turn is over.
    if (this.#agentItem && !this.#userItem) this.#agentItem.answering = this.#answering;
  }

  #fail(stage, message) {
    this.#activity.expectAnswer(false);
    this.notice(message || "something failed", stage);
  }
}
