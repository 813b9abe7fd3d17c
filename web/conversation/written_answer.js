// A typed question that is answered in writing, without a call.

import { late } from "/late.js";
import { asProblem } from "/problem.js";

const loadServers = late(() => Promise.all([import("/conversation/chat.js"), import("/conversation/pictures_server.js")]));

export class WrittenAnswer {
  #handlers;
  #ending = null;
  #asking = Promise.resolve();

  /** @param {{onChange: () => void, onConversation: (id: string) => void, onProblem: (problem: Problem) => void}} handlers */
  constructor(handlers) {
    this.#handlers = handlers;
  }

  get isUnderWay() {
    return this.#ending !== null;
  }

  stop() {
    this.#ending?.abort();
  }

  /**
   * @param {string} text
   * @param {Conversation} conversation - that the question and its answer belong to
   * @param {{back?: object, pictures?: object[]}} more - back: of `Conversation.pointOf`, the turn that the question takes
   *   the place of; pictures: {blob, url}
   * @returns {Promise<boolean>} whether the server took the question
   */
  ask(text, conversation, more = {}) {
    this.stop();
    this.#asking = this.#asking.then(() => this.#ask(text, conversation, more));
    return this.#asking;
  }

  async #ask(text, conversation, { back, pictures = [] }) {
    const ending = new AbortController();
    this.#ending = ending;
    let isTaken = false;
    conversation.type(text, pictures);
    this.#handlers.onChange();
    try {
      const [{ ask }, { sendAhead }] = await loadServers();
      const marks = await Promise.all(pictures.map(({ blob }) => sendAhead(blob)));
      const more = { ...(back ? { back } : {}), ...(marks.length > 0 ? { pictures: marks } : {}) };
      for await (const { event, data } of ask(text, conversation.id, ending.signal, more)) {
        if (!isTaken && back) {
          conversation.goBack(back);
          conversation.type(text, pictures);
        }
        if (!isTaken) conversation.confirmTyped(text);
        isTaken = true;
        this.#take(event, data, conversation);
      }
    } catch (error) {
      if (!ending.signal.aborted) this.#handlers.onProblem(asProblem(error, "The message could not be sent"));
    }
    this.#ending = null;
    conversation.hangUp();
    this.#handlers.onChange();
    return isTaken || ending.signal.aborted;
  }

  #take(event, data, conversation) {
    if (event === "conversation" && typeof data.conversation === "string") {
      conversation.id = data.conversation;
      this.#handlers.onConversation(data.conversation);
    }
    if (event === "delta" && typeof data.text === "string") conversation.write(data.text);
    if (event === "done") conversation.endWriting(data.text, data);
    if (event === "error") conversation.fail(String(data.stage ?? ""), String(data.message ?? ""));
    this.#handlers.onChange();
  }
}
