// The messages of the page, one by one: asked, asked again, said again; in a call through it, else through the server.

import { Attachments } from "/conversation/attachments.js";
import { listenToActions } from "/conversation/message_actions.js";
import { editMessage } from "/conversation/message_editor.js";
import { attachedTo } from "/conversation/pictures.js";
import { ReadAloud } from "/conversation/read_aloud.js";
import { messageText } from "/conversation/saved_text.js";
import { byId } from "/dom.js";
import { asProblem } from "/problem.js";
import { sendAhead } from "/server.js";

const LOOK = "What do you see in this picture?";

export class Messages {
  #page;
  #aloud;
  #attachments;
  // What was sent to a call with pictures, or to be asked again, and is not taken yet.
  #sent = { text: "", pictures: [] };

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

  draw() {
    this.#attachments.draw();
  }

  /** Say nothing any more. */
  hush() {
    this.#aloud.stop();
  }

  /** @param {string} text - was written */
  ask(text) {
    const pictures = this.#attachments.take();
    if (pictures === null) return this.#page.composer.restore(text);
    if (this.#page.session.phase !== "joined") return this.#askInWriting(text, { pictures });
    this.#page.current().type(text, pictures);
    this.#page.draw();
    return this.#send({ type: "text", text }, pictures);
  }

  /** @param {object} event - of the call */
  follow({ event, stage }) {
    const { text, pictures } = this.#sent;
    if (event === "went_back" && text) this.#page.current().type(text, pictures);
    if (event === "error" && ["history", "picture"].includes(stage)) this.#giveBack(text, pictures);
    if (["went_back", "turn_ended", "error"].includes(event)) this.#sent = { text: "", pictures: [] };
  }

  #canSee() {
    const { session, current, offer } = this.#page;
    return session.phase === "joined" ? current().sees : offer()?.sees === true;
  }

  #sayAgain(item, button) {
    const text = messageText(item);
    if (this.#page.session.phase === "joined") this.#page.session.send({ type: "say_again", text });
    else this.#aloud.toggle(text, button, this.#page.choices);
  }

  #askAgain(item, text) {
    const { current, session, tell } = this.#page;
    const back = current().pointOf(item);
    const pictures = attachedTo(item);
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

  async #send(message, pictures) {
    const { session, choices, tell } = this.#page;
    const wanted = { ...message, spoken: choices.isSpoken };
    if (message.type === "ask_again" || pictures.length > 0) this.#sent = { text: message.text, pictures };
    try {
      if (pictures.length > 0) wanted.pictures = await Promise.all(pictures.map(({ blob }) => sendAhead(blob)));
    } catch (error) {
      this.#giveBack(message.text, pictures);
      return tell(asProblem(error, "The picture could not be sent"));
    }
    return session.send(wanted);
  }

  #giveBack(text, pictures) {
    const { composer, current, draw } = this.#page;
    current().withdraw();
    composer.restore(text);
    this.#attachments.restore(pictures);
    draw();
  }
}
