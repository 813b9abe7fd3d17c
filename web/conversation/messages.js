// Single messages and the rest of the page: said again and asked again, in a call through it, else through the server.

import { listenToActions } from "/conversation/message_actions.js";
import { editMessage } from "/conversation/message_editor.js";
import { ReadAloud } from "/conversation/read_aloud.js";
import { messageText } from "/conversation/saved_text.js";
import { byId } from "/dom.js";

/**
 * @param {object} page
 *   current(): the conversation that is shown; tell(problem); draw();
 *   session, written, composer, choices, announcer: the page's own
 * @returns {{hush: () => void, follow: (event: object) => void}} hush: say nothing any more; follow: the call's events
 */
export function listenToMessages({ current, session, written, composer, choices, tell, draw, announcer }) {
  const aloud = new ReadAloud(tell);
  const list = byId("conversation");
  let asked = "";

  const sayAgain = (item, button) => {
    const text = messageText(item);
    if (session.phase === "joined") session.send({ type: "say_again", text });
    else aloud.toggle(text, button, choices);
  };

  const askAgain = (item, text) => {
    const back = current().pointOf(item);
    // What was edited is gone with its button: the keyboard stays in the conversation.
    byId("talk-section").focus();
    aloud.stop();
    if (session.phase === "joined") {
      asked = text;
      session.send({ type: "ask_again", text, back, spoken: choices.isSpoken });
      return;
    }
    tell(null);
    written.ask(text, current(), back).then((isTaken) => isTaken || composer.restore(text));
    draw();
  };

  listenToActions(list, (id) => current().items.find((item) => item.id === id), {
    tell: (text) => announcer.say(text),
    onSay: sayAgain,
    onEdit: (item, element) => editMessage(element, item.text, (text) => askAgain(item, text)),
  });

  return {
    hush: () => aloud.stop(),
    follow({ event, stage }) {
      // What the server could not go back to is not lost.
      if (event === "error" && stage === "history") composer.restore(asked);
      if (event === "went_back" || event === "error") asked = "";
    },
  };
}
