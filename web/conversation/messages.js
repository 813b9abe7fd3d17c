// Single messages and the rest of the page: said again and asked again, in a call through it, else through the server.

import { listenToActions } from "/conversation/message_actions.js";
import { editMessage } from "/conversation/message_editor.js";
import { ReadAloud } from "/conversation/read_aloud.js";
import { messageText } from "/conversation/saved_text.js";
import { byId } from "/dom.js";

/**
 * @param {object} page
 *   conversation(): the one that is shown; session, written, composer, choices: the page's own;
 *   tell(problem), say(text): to a screen reader, draw()
 * @returns {{hush: () => void, follow: (event: object) => void}} hush: say nothing any more; follow: the call's events
 */
export function listenToMessages({ conversation, session, written, composer, choices, tell, say, draw }) {
  const aloud = new ReadAloud(tell);
  const list = byId("conversation");
  let asked = "";

  const sayAgain = (item, button) => {
    const text = messageText(item);
    if (session.phase === "joined") session.send({ type: "say_again", text });
    else aloud.toggle(text, button, choices);
  };

  const askAgain = (item, text) => {
    const back = conversation().pointOf(item);
    // What was edited is gone with its button: the keyboard stays in the conversation.
    byId("talk-section").focus();
    aloud.stop();
    if (session.phase === "joined") {
      asked = text;
      session.send({ type: "ask_again", text, back, spoken: choices.isSpoken });
      return;
    }
    tell(null);
    written.ask(text, conversation(), back).then((isTaken) => isTaken || composer.restore(text));
    draw();
  };

  listenToActions(list, (id) => conversation().items.find((item) => item.id === id), {
    tell: say,
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
