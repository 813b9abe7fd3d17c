// What can be done with the conversation as a whole: save it, begin anew, delete it.

import { askFirst } from "/confirm.js";
import { byId } from "/dom.js";
import { asProblem } from "/problem.js";

const FILE_NAME = "sotto-conversation.txt";
const DELETE = {
  title: "Delete this conversation?",
  text: "The server forgets what was said, and deletes the recording if there is one. A call that goes on ends.",
  yes: "Delete",
};
const START_OVER = {
  title: "Start over?",
  text: "The recording of this conversation is not shown here after that: save it first, if you want it. A new conversation has one of its own.",
  yes: "Start over",
  no: "Go on",
};

/**
 * @param {object} handlers - items(): of the conversation; isRecorded(): whether its recording would be lost sight of;
 *   onStartOver(), onDelete(), tell(problem)
 */
export function listenToTools({ items, isRecorded, onStartOver, onDelete, tell }) {
  const onClick = (id, handle) => byId(id).addEventListener("click", handle);
  onClick("save-text", async () => {
    try {
      const { asText, saveText } = await import("/conversation/saved_text.js");
      saveText(asText(items()), FILE_NAME);
    } catch (error) {
      tell(asProblem(error, "The text could not be made"));
    }
  });
  onClick("start-over", () => (isRecorded() ? askFirst(START_OVER, onStartOver) : onStartOver()));
  for (const id of ["delete", "delete-recording"]) onClick(id, () => askFirst(DELETE, onDelete));
}
