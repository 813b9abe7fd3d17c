// The messages of the page, one by one: asked, asked again, said again; in a call through it, else through the server.

import { Attachments } from "/conversation/attachments.js";
import { listenToActions } from "/conversation/message_actions.js";
import { editMessage } from "/conversation/message_editor.js";
import { attachedTo } from "/conversation/pictures.js";
import { ReadAloud } from "/conversation/read_aloud.js";
import { messageText } from "/conversation/saved_text.js";
import { byId } from "/dom.js";
import { Problem, asProblem } from "/problem.js";
import { sendAhead } from "/conversation/pictures_server.js";

const LOOK = "What do you see in this picture?";
const NOT_SENT = { text: "", pictures: [], isShown: true };

export class Messages {
  #page;
  #aloud;
  #attachments;
  // What was sent to a call with pictures, or to be asked again, and is not taken yet; shown as one of its messages or not.
  #sent = NOT_SENT;
  // A picture takes its time: what is typed after it does not overtake it, and nothing goes to another call.
  #sending = Promise.resolve();
  #nCalls = 0;

  /**
   * @param {object} page
   *   current(): the conversation that is shown; offer(): of the server; tell(problem); draw();
   *   session, written, composer, choices, announcer: the page's own
   */
  constructor(page) {
    this.#page = page;
    this.#aloud = new ReadAloud(page.tell);
    this.#attachments = new Attachments({ canSee: () => this.#canSee(), tell: page.tell });
    page.composer.standIn = () => (this.#attachments.isEmpty ? "" : LOOK);
    listenToActions(byId("conversation"), (id) => page.current().items.find((item) => item.id === id), {
      tell: (text) => page.announcer.say(text),
      onSay: (item, button) => this.#sayAgain(item, button),
      onEdit: (item, element) => editMessage(element, item.text, (text) => this.#askAgain(item, text)),
    });
  }

  /** @param {File[]} files - for the next message */
  attach(files) {
    this.#attachments.add(files);
  }

  draw() {
    this.#attachments.draw();
  }

  /** Say nothing any more. */
  hush() {
    this.#aloud.stop();
  }

  /** Say a written answer, outside of a call. @param {object} item */
  readAloud(item) {
    const button = byId("conversation").querySelector(`[data-item="${item.id}"] [data-act="say"]`);
    this.#aloud.say(messageText(item), button, this.#page.choices);
  }

  /** @param {string} text - was written */
  async ask(text) {
    const { composer, session, current, draw } = this.#page;
    this.hush();
    while (this.#attachments.making !== null) await this.#attachments.making;
    const pictures = this.#isBetweenCalls() ? null : this.#attachments.take();
    if (pictures === null) return composer.restore(text);
    if (session.phase !== "joined") return this.#askInWriting(text, { pictures });
    current().type(text, pictures);
    draw();
    return this.#send({ type: "text", text }, pictures);
  }

  /** @param {object} event - of the call */
  follow({ event, stage, source }) {
    const { text, pictures, isShown } = this.#sent;
    const isRefused = event === "error" && ["history", "picture"].includes(stage);
    const isTaken = event === "turn_ended" && source === "typed";
    if (event === "session_started") this.hush();
    if (event === "went_back" && !isShown) {
      this.#page.current().type(text, pictures);
      this.#sent = { text, pictures, isShown: true };
    }
    if (isRefused) this.#giveBack(text, pictures);
    if (isRefused || isTaken || event === "started_over") this.#sent = NOT_SENT;
  }

  /** The call is over: what the server has not taken is not lost. */
  hangUp() {
    const lost = this.#page.current().hangUp().map((item) => ({ text: item.text, pictures: attachedTo(item) }));
    if (!this.#sent.isShown) lost.push(this.#sent);
    this.#sent = NOT_SENT;
    this.#nCalls += 1;
    this.#restore(lost.map(({ text }) => text).join("\n"), lost.flatMap(({ pictures }) => pictures));
  }

  #isBetweenCalls() {
    return ["joining", "waiting"].includes(this.#page.session.phase);
  }

  #canSee() {
    const { session, current, offer } = this.#page;
    return session.phase === "joined" ? current().sees : offer()?.sees === true;
  }

  #sayAgain(item, button) {
    const text = messageText(item);
    if (this.#isBetweenCalls()) return this.#page.tell(new Problem("It can be said again once the call is there."));
    if (this.#page.session.phase === "joined") this.#page.session.send({ type: "say_again", text });
    else this.#aloud.toggle(text, button, this.#page.choices);
  }

  #askAgain(item, text) {
    const { composer, current, session, tell } = this.#page;
    const back = current().pointOf(item);
    const pictures = attachedTo(item);
    if (this.#isBetweenCalls() || !this.#attachments.canSend(pictures)) return composer.restore(text);
    // What was edited is gone with its button: the keyboard stays in the conversation.
    byId("talk-section").focus();
    this.hush();
    if (session.phase === "joined") return this.#send({ type: "ask_again", text, back }, pictures);
    tell(null);
    return this.#askInWriting(text, { back, pictures });
  }

  async #askInWriting(text, more) {
    const { written, current } = this.#page;
    if (!(await written.ask(text, current(), more))) this.#giveBack(text, more.back ? [] : more.pictures);
  }

  #send(message, pictures) {
    const call = this.#nCalls;
    this.#sending = this.#sending.then(() => this.#sendTo(call, message, pictures));
    return this.#sending;
  }

  async #sendTo(call, message, pictures) {
    const { session, choices, tell } = this.#page;
    const { type, text } = message;
    const wanted = { ...message, spoken: choices.isSpoken };
    // What was typed is given back already.
    if (call !== this.#nCalls) return type === "text" ? null : this.#restore(text, pictures);
    if (type === "ask_again" || pictures.length > 0) this.#sent = { text, pictures, isShown: type === "text" };
    try {
      if (pictures.length > 0) wanted.pictures = await Promise.all(pictures.map(({ blob }) => sendAhead(blob)));
    } catch (error) {
      if (call !== this.#nCalls) return null;
      this.#sent = NOT_SENT;
      this.#giveBack(text, pictures);
      return tell(asProblem(error, "The picture could not be sent"));
    }
    return call === this.#nCalls ? session.send(wanted) : null;
  }

  #giveBack(text, pictures) {
    this.#page.current().withdraw();
    this.#restore(text, pictures);
    this.#page.draw();
  }

  #restore(text, pictures) {
    this.#page.composer.restore(text);
    if (pictures.length > 0) this.#attachments.restore(pictures);
  }
}
