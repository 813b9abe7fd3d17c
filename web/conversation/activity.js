// Who has the floor in a conversation, as its events tell.

export class Activity {
  isUserSpeaking = false;
  isAgentSpeaking = false;
  isThinking = false;
  #isAnswerDue = false;
  #playout = "full";
  #phrases = [];

  /**
   * @param {boolean} isWriting - an answer is being written
   * @returns {"listening" | "hearing" | "thinking" | "speaking" | "ducked" | "paused" | "writing" | "asleep"}
   */
  now(isWriting) {
    // What is lowered or paused before it sounds is nothing to see.
    if (this.isAgentSpeaking && this.#playout !== "full") return this.#playout;
    if (this.isUserSpeaking) return "hearing";
    if (this.isAgentSpeaking) return "speaking";
    if (isWriting) return "writing";
    if (this.isThinking) return "thinking";
    return this.#phrases.length > 0 ? "asleep" : "listening";
  }

  /** @returns {string} what wakes the agent while it sleeps, as it is said; else "" */
  get wakePhrase() {
    return this.#phrases.join(" or ");
  }

  /** @param {string[]} phrases - that wake it; none: it is awake */
  sleep(phrases) {
    this.#phrases = phrases;
  }

  pauseUser(hasWords) {
    this.isUserSpeaking = false;
    this.isThinking = hasWords;
  }

  /** An answer is on its way. */
  expectAnswer(isDue = true) {
    this.isThinking = this.#isAnswerDue = isDue;
  }

  /** What the user said asks for nothing; an earlier answer may be due still. */
  expectNothingMore() {
    this.isThinking = this.#isAnswerDue;
  }

  /** What was lowered or paused for the user's words is over with them. */
  playFully() {
    this.#playout = "full";
  }

  play(level) {
    if (["full", "ducked", "paused"].includes(level)) this.#playout = level;
  }

  startAgent() {
    this.isAgentSpeaking = true;
    this.expectAnswer(false);
    this.playFully();
  }

  /** The agent has nothing to say any more, or may not. */
  silenceAgent() {
    this.isAgentSpeaking = false;
    this.expectAnswer(false);
    this.playFully();
  }

  hangUp() {
    this.silenceAgent();
    this.isUserSpeaking = false;
    this.#phrases = [];
  }
}
