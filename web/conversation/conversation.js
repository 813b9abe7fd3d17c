// The conversation as the page knows it: lines of the event log in, items and an activity out. No DOM, no network.

import { Pictures } from "/conversation/pictures.js";
import { Timings } from "/conversation/timings.js";
import { ToolCalls } from "/conversation/tool_calls.js";
import { advance, join, remainder, words } from "/conversation/words.js";

const NOTED =
  "The older turns are notes now: the agent knows what stands in them, and no longer each word. Yours stay on this page.";
const NOTED_BEFORE = "What was said before this stands in the agent's notes.";

/**
 * items, in the order of the conversation:
 *   {id, role: "user", text, partial, isTyped, isPending}
 *       partial: words that may still change; isPending: typed, and not yet taken by the server
 *   {id, role: "agent", text, ahead, unsaid, replies, isInterrupted, isWritten, isStreaming, isEarlier, latency, answering}
 *       text: heard words, or Markdown if isWritten; ahead: about to be spoken; unsaid: planned, but cut off;
 *       replies: what was written for them, {id, text, start, end}: Markdown, and the characters (Unicode) of the word
 *       that was heard last; isEarlier: from before this page was opened; answering: {model, why}, which of two models
 *       answers and by which rule, else null
 *   {id, role: "tool", ...}                                       see tool_calls.js
 *   {id, role: "picture", ...}                                    see pictures.js
 *   {id, role: "notice", stage, text}                             stage: of an error, as in `engines`; else ""
 * id: of the conversation at the server, "" if none is known
 * engines: what session_started named, else null
 * answerSecs: what a person waits for an answer with them, as the server has measured; null where it does not know
 * isPushToTalk: the microphone counts only while a button is held
 * isRecording: the server writes the sound of this session down
 */
export class Conversation {
  items = [];
  engines = null;
  answerSecs = null;
  isPushToTalk = false;
  isRecording = false;
  timings = new Timings();
  tools = this.#newTools();
  pictures = this.#newPictures();
  #nextId = 0;
  #userItem = null;
  #agentItem = null;
  #writtenItem = null;
  #isUserSpeaking = false;
  #isAgentSpeaking = false;
  #isThinking = false;
  #isAnswerDue = false;
  #playout = "full";
  #phrases = [];
  #latency = null;
  #answering = null;
  #wasRecorded = false;

  constructor(id = "") {
    this.id = id;
  }

  /** @returns {"listening" | "hearing" | "thinking" | "speaking" | "ducked" | "paused" | "writing" | "asleep"} */
  get activity() {
    // What is lowered or paused before it sounds is nothing to see.
    if (this.#isAgentSpeaking && this.#playout !== "full") return this.#playout;
    if (this.#isUserSpeaking) return "hearing";
    if (this.#isAgentSpeaking) return "speaking";
    if (this.#writtenItem) return "writing";
    if (this.#isThinking) return "thinking";
    return this.#phrases.length > 0 ? "asleep" : "listening";
  }

  /** @returns {string} what wakes the agent while it sleeps, as it is said; else "" */
  get wakePhrase() {
    return this.#phrases.join(" or ");
  }

  /** @param {object} event - one line of the event log; unknown ones change nothing */
  apply(event) {
    const text = words(event.text);
    switch (event.event) {
      case "session_started": this.#start(event); break;
      case "settings_changed": this.#change(event); break;
      case "user_started_speaking": this.#isUserSpeaking = true; break;
      case "user_stopped_speaking": this.#pauseUser(); break;
      case "partial_transcript": this.#hear("", text); break;
      case "transcript": this.#hear(text, ""); break;
      case "turn_ended": this.#endTurn(text, event.source === "typed"); break;
      case "reply_text": this.write(typeof event.text === "string" ? event.text : ""); break;
      case "llm_first_token": this.#noteModel(event); break;
      case "reflex": this.#noteModel({}); break;
      case "llm_done": this.endWriting(); break;
      case "bot_started_speaking": this.#startAgent(); break;
      case "bot_planned": this.#plan(text); break;
      case "bot_written": this.#noteWritten(event); break;
      case "bot_word": this.#say(text, event); break;
      case "bot_stopped_speaking": this.#isAgentSpeaking = false; break;
      case "asleep": this.#phrases = Array.isArray(event.phrases) ? event.phrases.map(words).filter(Boolean) : []; break;
      case "awake": this.#phrases = []; break;
      case "playout": this.#play(event.level); break;
      case "interruption": this.#interrupt(words(event.heard), words(event.planned)); break;
      case "false_interruption": this.#goOn(); break;
      case "latency": this.#noteLatency(event); break;
      case "speculation": this.timings.noteSpeculation(event.outcome); break;
      case "tool_call": case "tool_result": case "tool_cancelled": case "tool_undo": this.tools.apply(event); break;
      case "camera_asked": case "camera_taken": case "camera_failed": this.pictures.apply(event); break;
      case "error": this.#fail(words(event.stage), words(event.message)); break;
      case "notes_made": this.notice(NOTED); break;
      case "started_over": this.#startOver(); break;
      case "session_ended": this.#endSession(words(event.reason)); break;
    }
  }

  /** A message was typed; the server's turn_ended confirms it. */
  type(text) {
    this.#closeAgentItem();
    this.#add({ role: "user", text, partial: "", isTyped: true, isPending: true });
  }

  /** The server has taken what was typed; an answer is on its way. */
  confirmTyped(text) {
    const pending = this.items.find((item) => item.isPending);
    if (pending) Object.assign(pending, { text, isPending: false });
    else this.#add({ role: "user", text, partial: "", isTyped: true, isPending: false });
    this.#isThinking = this.#isAnswerDue = true;
    this.#closeAgentItem();
  }

  /** A piece of a written answer. */
  write(piece) {
    if (piece === "") return;
    this.#isThinking = this.#isAnswerDue = false;
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
   * @returns {string} what was typed and not taken by the server, else ""
   */
  hangUp() {
    const pending = this.items.filter((item) => item.isPending);
    this.#dropUserItem();
    this.#closeAgentItem();
    this.tools.hangUp();
    this.pictures.hangUp();
    this.endWriting();
    pending.forEach((item) => this.#remove(item));
    this.#isUserSpeaking = this.#isAgentSpeaking = this.#isThinking = this.#isAnswerDue = false;
    this.#playout = "full";
    this.isRecording = this.isPushToTalk = false;
    this.#phrases = [];
    return pending.map(({ text }) => text).join("\n");
  }

  notice(text, stage = "") {
    this.#add({ role: "notice", stage, text });
  }

  #change({ engines, answer_secs: answerSecs, push_to_talk: isPushToTalk }) {
    this.engines = engines ?? null;
    this.answerSecs = answerSecs ?? null;
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
    if (this.items.length === 0 && Array.isArray(history)) {
      if (noted === true) this.notice(NOTED_BEFORE);
      history.forEach((said) => this.#recall(said));
    }
  }

  #recall({ role, text }) {
    if (words(text) === "") return;
    if (role === "assistant") this.#addAgentItem({ text: words(text), isWritten: true, isEarlier: true });
    else this.#add({ role: "user", text: words(text), partial: "", isTyped: false, isPending: false });
  }

  #startOver() {
    this.items = [];
    this.timings = new Timings();
    this.tools = this.#newTools();
    this.pictures = this.#newPictures();
    this.#userItem = this.#agentItem = this.#writtenItem = this.#latency = this.#answering = null;
    this.#isAgentSpeaking = this.#isThinking = this.#isAnswerDue = false;
    this.#playout = "full";
  }

  #endSession(reason) {
    this.hangUp();
    this.notice(`The conversation ended: ${reason || "no reason given"}.`);
  }

  #add(item, at = this.items.length) {
    const added = { id: this.#nextId++, ...item };
    this.items.splice(at, 0, added);
    return added;
  }

  #newTools() {
    return new ToolCalls((item) => this.#addBeforeAnswer(item));
  }

  #newPictures() {
    return new Pictures((item) => this.#addBeforeAnswer(item));
  }

  /** What is done for an answer stands before it. */
  #addBeforeAnswer(item) {
    const next = this.#agentItem ?? this.#userItem;
    return this.#add(item, next ? this.items.indexOf(next) : this.items.length);
  }

  #addAgentItem(known) {
    const item = { role: "agent", text: "", ahead: "", unsaid: "", replies: [], isInterrupted: false, isWritten: false };
    // A user's turn that is still open comes after what the agent says now.
    const at = this.#userItem ? this.items.indexOf(this.#userItem) : this.items.length;
    return this.#add({ ...item, isStreaming: false, isEarlier: false, latency: null, answering: null, ...known }, at);
  }

  #remove(item) {
    this.items = this.items.filter((kept) => kept !== item);
  }

  #pauseUser() {
    this.#isUserSpeaking = false;
    this.#isThinking = this.#userItem !== null;
  }

  #hear(final, partial) {
    if (this.#userItem === null) {
      if (!final && !partial) return;
      this.#userItem = this.#add({ role: "user", text: "", partial: "", isTyped: false, isPending: false });
    }
    this.#userItem.text = join(this.#userItem.text, final);
    this.#userItem.partial = partial;
    if (final && !this.#isUserSpeaking) this.#isThinking = true;
  }

  #endTurn(text, isTyped) {
    this.#latency = null;
    // What was lowered or paused for the user's words is over with them.
    this.#playout = "full";
    if (isTyped) return this.confirmTyped(text);
    this.#isThinking = this.#isAnswerDue = text !== "";
    if (text === "") return this.#dropUserItem();
    this.#hear(text, "");
    this.#userItem.text = text;
    this.#userItem = null;
    this.#closeAgentItem();
  }

  /** The user's sound was no turn: keep the words that were sure, drop those that were not. */
  #dropUserItem() {
    if (this.#userItem?.text === "") this.#remove(this.#userItem);
    else if (this.#userItem) this.#userItem.partial = "";
    this.#userItem = null;
    this.#isThinking = this.#isAnswerDue;
  }

  #openAgentItem() {
    this.#agentItem ??= this.#addAgentItem({ latency: this.#latency, answering: this.#answering });
    return this.#agentItem;
  }

  /** What is not heard by now never will be. */
  #closeAgentItem() {
    if (this.#agentItem) this.#agentItem.ahead = "";
    if (this.#agentItem?.text === "" && this.#agentItem.unsaid === "") this.#remove(this.#agentItem);
    this.#agentItem = null;
  }

  #startAgent() {
    this.#isAgentSpeaking = true;
    this.#isThinking = this.#isAnswerDue = false;
    this.#playout = "full";
  }

  #plan(text) {
    if (text === "") return;
    const item = this.#openAgentItem();
    item.ahead = join(item.ahead, text);
  }

  #noteWritten({ reply, text }) {
    if (!Number.isInteger(reply) || typeof text !== "string") return;
    const { replies } = this.#openAgentItem();
    if (replies.at(-1)?.id !== reply) replies.push({ id: reply, text: "", start: 0, end: 0 });
    replies.at(-1).text += text;
  }

  #say(word, { reply, written }) {
    if (word === "") return;
    const item = this.#openAgentItem();
    const said = item.replies.find(({ id }) => id === reply);
    if (said) [said.start, said.end] = written;
    item.text = join(item.text, word);
    if (item.ahead) item.ahead = word.split(/\s+/).reduce(advance, item.ahead);
  }

  #play(level) {
    if (["full", "ducked", "paused"].includes(level)) this.#playout = level;
  }

  #interrupt(heard, planned) {
    const wasSpeaking = this.#isAgentSpeaking;
    this.#isAgentSpeaking = false;
    this.#isThinking = this.#isAnswerDue = false;
    this.#playout = "full";
    this.endWriting();
    if (!heard && !planned && !this.#agentItem) return;
    const item = this.#openAgentItem();
    item.text = heard || item.text;
    item.unsaid = remainder(planned, item.text) || item.ahead;
    item.isInterrupted = wasSpeaking || item.unsaid !== "";
    this.#closeAgentItem();
  }

  /** What was heard over the agent asks for nothing: it speaks up again. */
  #goOn() {
    this.#playout = "full";
    this.#dropUserItem();
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
    this.#isThinking = this.#isAnswerDue = false;
    this.notice(message || "something failed", stage);
  }
}

function answeringOf({ model, why }) {
  return words(model) ? { model: words(model), why: words(why) } : null;
}
