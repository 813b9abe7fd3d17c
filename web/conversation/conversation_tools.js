// What can be done with the conversation as a whole: save it, begin anew, delete it.

import { askFirst } from "/confirm.js";
import { byId } from "/dom.js";
import { asText, saveText } from "/conversation/saved_text.js";

const FILE_NAME = "sotto-conversation.txt";
const DELETE = {
  title: "Delete this conversation?",
  text: "The server forgets what was said, and deletes the recording if there is one. A call that goes on ends.",
  yes: "Delete",
};

/** @param {{items: () => object[], onStartOver: () => void, onDelete: () => void}} handlers */
export function listenToTools({ items, onStartOver, onDelete }) {
  const onClick = (id, handle) => byId(id).addEventListener("click", handle);
  onClick("save-text", () => saveText(asText(items()), FILE_NAME));
  onClick("start-over", onStartOver);
  for (const id of ["delete", "delete-recording"]) onClick(id, () => askFirst(DELETE, onDelete));
}
