// What can be done with the conversation as a whole: save it, begin anew, delete it.

import { askFirst } from "/confirm.js";
import { asProblem } from "/problem.js";
import { deleteConversation } from "/server.js";

const FILE_NAME = "sotto-conversation.txt";
const DELETE = {
  title: "Delete this conversation?",
  text: "The server forgets what was said, and deletes the recording if there is one. A call that goes on ends.",
  yes: "Delete",
};
const START_OVER = {
  title: "Start over?",
  text: "The recording of this conversation is not shown here after that. If you want it, leave the call and save it first. A new conversation has one of its own.",
  yes: "Start over",
  no: "Go on",
};

/**
 * @param {"save-text" | "start-over" | "delete" | "delete-recording"} id - of the button that was pressed
 * @param {object} page - current(): the conversation; session, written: the page's own; forget(): begin without any
 *   words; isRecorded(): whether a recording would be lost sight of; say(text): to a screen reader; tell(problem)
 * @throws {Error} what is needed cannot be loaded
 */
export async function useTool(id, page) {
  if (id === "save-text") {
    const { asText, saveText } = await import("/conversation/saved_text.js");
    saveText(asText(page.current().items), FILE_NAME);
  } else if (id !== "start-over") askFirst(DELETE, () => remove(page));
  else if (page.isRecorded()) askFirst(START_OVER, () => startOver(page));
  else startOver(page);
}

function startOver({ session, written, forget }) {
  if (session.phase === "joined") return session.send({ type: "start_over" });
  written.stop();
  forget();
}

async function remove({ current, session, written, forget, say, tell }) {
  const { id } = current();
  session.leave();
  written.stop();
  try {
    await deleteConversation(id);
    if (current().id === id) forget();
    say("The conversation is deleted.");
  } catch (error) {
    tell(asProblem(error, "The conversation could not be deleted"));
  }
}
