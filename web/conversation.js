// The conversation as the page knows it: lines of the event log in, items and an activity out. No DOM, no network.

/**
 * items, in the order of the conversation:
 *   {id, role: "user", text, partial}                             partial: words that may still change
 *   {id, role: "agent", text, unsaid, isInterrupted, latencyMs}   text: heard words; unsaid: planned, but cut off
 *   {id, role: "notice", stage, text}                             stage: of an error, as in `engines`; else empty
 * engines: what session_started named, else null
 * isPushToTalk: the microphone counts only while a button is held
 */
export class Conversation {
  items = [];
  engines = null;
  isPushToTalk = false;
  #nextId = 0;
  #userItem = null;
  #agentItem = null;
  #isUserSpeaking = false;
  #isAgentSpeaking = false;
  #isThinking = false;
  #isAnswerDue = false;
  #latencyMs = null;

  /** @returns {"listening" | "hearing" | "thinking" | "speaking"} */
  get activity() {
    if (this.#isUserSpeaking) return "hearing";
    if (this.#isAgentSpeaking) return "speaking";
    return this.#isThinking ? "thinking" : "listening";
  }

  /** @param {object} event - one line of the event log; unknown ones change nothing */
  apply(event) {
    const text = words(event.text);
    switch (event.event) {
      case "session_started": this.#start(event); break;
      case "user_started_speaking": this.#isUserSpeaking = true; break;
      case "user_stopped_speaking": this.#pauseUser(); break;
      case "partial_transcript": this.#hear("", text); break;
      case "transcript": this.#hear(text, ""); break;
      case "turn_ended": this.#endTurn(text); break;
      case "bot_started_speaking": this.#startAgent(); break;
      case "bot_word": this.#say(text); break;
      case "bot_stopped_speaking": this.#isAgentSpeaking = false; break;
      case "interruption": this.#interrupt(words(event.heard), words(event.planned)); break;
      case "false_interruption": this.#dropUserItem(); break;
      case "latency": this.#noteLatency(event.voice_to_voice_ms); break;
      case "error": this.#fail(words(event.stage), words(event.message)); break;
      case "session_ended": this.#notice(`The conversation ended: ${words(event.reason) || "no reason given"}.`); break;
    }
  }

  #start({ engines, push_to_talk: isPushToTalk }) {
    this.engines = engines ?? null;
    this.isPushToTalk = isPushToTalk === true;
  }

  #add(item) {
    const added = { id: this.#nextId++, ...item };
    this.items.push(added);
    return added;
  }

  #remove(item) {
    this.items = this.items.filter((kept) => kept !== item);
  }

  #notice(text, stage = "") {
    this.#add({ role: "notice", stage, text });
  }

  #pauseUser() {
    this.#isUserSpeaking = false;
    this.#isThinking = this.#userItem !== null;
  }

  #hear(final, partial) {
    if (this.#userItem === null) {
      if (!final && !partial) return;
      this.#userItem = this.#add({ role: "user", text: "", partial: "" });
    }
    this.#userItem.text = join(this.#userItem.text, final);
    this.#userItem.partial = partial;
    if (final && !this.#isUserSpeaking) this.#isThinking = true;
  }

  #endTurn(text) {
    this.#isThinking = this.#isAnswerDue = text !== "";
    if (text === "") return this.#dropUserItem();
    this.#hear(text, "");
    this.#userItem.text = text;
    this.#userItem = null;
    this.#agentItem = null;
    this.#latencyMs = null;
  }

  /** The user's sound was no turn: keep the words that were sure, drop those that were not. */
  #dropUserItem() {
    if (this.#userItem?.text === "") this.#remove(this.#userItem);
    else if (this.#userItem) this.#userItem.partial = "";
    this.#userItem = null;
    this.#isThinking = this.#isAnswerDue;
  }

  #openAgentItem() {
    if (this.#agentItem === null) {
      const item = { id: this.#nextId++, role: "agent", text: "", unsaid: "", isInterrupted: false };
      this.#agentItem = { ...item, latencyMs: this.#latencyMs };
      // A user's turn that is still open comes after what the agent says now.
      const at = this.#userItem ? this.items.indexOf(this.#userItem) : this.items.length;
      this.items.splice(at, 0, this.#agentItem);
    }
    return this.#agentItem;
  }

  #startAgent() {
    this.#isAgentSpeaking = true;
    this.#isThinking = this.#isAnswerDue = false;
  }

  #say(word) {
    if (word === "") return;
    const item = this.#openAgentItem();
    item.text = join(item.text, word);
  }

  #interrupt(heard, planned) {
    const wasSpeaking = this.#isAgentSpeaking;
    this.#isAgentSpeaking = false;
    this.#isThinking = this.#isAnswerDue = false;
    if (!heard && !planned && !this.#agentItem) return;
    const item = this.#openAgentItem();
    item.text = heard || item.text;
    item.unsaid = remainder(planned, item.text);
    item.isInterrupted = wasSpeaking || item.unsaid !== "";
    this.#agentItem = null;
  }

  #noteLatency(voiceToVoiceMs) {
    if (!Number.isFinite(voiceToVoiceMs)) return;
    this.#latencyMs = voiceToVoiceMs;
    if (this.#agentItem) this.#agentItem.latencyMs = voiceToVoiceMs;
  }

  #fail(stage, message) {
    this.#isThinking = this.#isAnswerDue = false;
    this.#notice(message || "something failed", stage);
  }
}

function words(value) {
  return typeof value === "string" ? value.trim() : "";
}

function join(before, after) {
  if (!before || !after) return before || after;
  return /^[.,;:!?…)\]}’”]+$/.test(after) ? before + after : `${before} ${after}`;
}

/** @returns {string} the words of `planned` that come after `heard`; empty where the two do not begin alike */
function remainder(planned, heard) {
  const bare = (text) => text.split(/\s+/).map((word) => word.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "")).filter(Boolean);
  const plannedWords = planned.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const heardWords = bare(heard);
  const beginsAlike = heardWords.every((word, at) => bare(plannedWords[at] ?? "")[0] === word);
  return beginsAlike ? plannedWords.slice(heardWords.length).join(" ") : "";
}
