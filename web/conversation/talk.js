// What a call and written words need, beside the page that waits for them: messages, the camera, changes of settings.

import { Camera } from "/call/camera.js";
import { holdToTalk, takeTheSpaceBar } from "/call/push_to_talk.js";
import { Voice } from "/call/voice.js";
import { Messages } from "/conversation/messages.js";
import { describeUndo, listenToUndo } from "/conversation/tool_item.js";
import { byId } from "/dom.js";
import { LiveChanges } from "/settings/live_changes.js";

/** voice: the agent's, see Voice */
export class Talk {
  #page;
  #messages;
  #camera;
  #changes;

  /** @param {object} page - of Messages, with the handlers of LiveChanges; onHold(isHeld): of the push-to-talk button */
  constructor(page) {
    this.#page = page;
    const { session, current, choices, tell, draw, onRefused, onChanged, onHold } = page;
    this.voice = new Voice(byId("voice"), choices.loudspeakerId, { onChange: draw, onProblem: tell });
    holdToTalk(byId("hold"), onHold);
    this.#messages = new Messages(page);
    this.#changes = new LiveChanges(session, { onRefused, onChanged });
    this.#camera = new Camera({
      send: (message) => session.send(message),
      onPicture: (mark, url) => {
        current().pictures.show(mark, url);
        draw();
      },
    });
    listenToUndo(byId("conversation"), (undo) => {
      if (session.phase !== "joined" || !current().tools.takeBack(undo)) return;
      session.send({ type: "undo", undo });
      draw();
    });
    this.draw();
  }

  draw() {
    this.#messages.draw();
  }

  /** The space bar talks, instead of the button with which the person came into the call. */
  takeTheSpaceBar() {
    takeTheSpaceBar(byId("hold"));
  }

  /** @param {File[]} files - for the next message */
  attach(files) {
    this.#messages.attach(files);
  }

  /** Say nothing any more. */
  hush() {
    this.#messages.hush();
  }

  /** Say a written answer, outside of a call. @param {object} item - of the conversation */
  readAloud(item) {
    this.#messages.readAloud(item);
  }

  /** @param {string} text - was written */
  ask(text) {
    return this.#messages.ask(text);
  }

  /** Change the call's settings. @param {object} options - all of them @param {object} before - those of now */
  change(options, before) {
    this.#changes.ask(options, before);
  }

  /** @param {object} event - of the call */
  follow(event) {
    this.#messages.follow(event);
    this.#camera.follow(event);
    this.#changes.apply(event);
    if (event.event === "tool_undo") this.#page.announcer.say(describeUndo(event));
  }

  /** The call is over. */
  hangUp() {
    this.#messages.hangUp();
    this.#changes.hangUp();
    this.#camera.hangUp();
  }
}
