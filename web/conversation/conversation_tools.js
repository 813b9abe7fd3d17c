// What can be done with the conversation as a whole: save it, begin anew, delete it.

import { byId } from "/dom.js";
import { asText, saveText } from "/conversation/saved_text.js";

const FILE_NAME = "sotto-conversation.txt";

/** @param {{items: () => object[], onStartOver: () => void, onDelete: () => void}} handlers */
export function listenToTools({ items, onStartOver, onDelete }) {
  const dialog = byId("confirm");
  const onClick = (id, handle) => byId(id).addEventListener("click", handle);
  onClick("save-text", () => saveText(asText(items()), FILE_NAME));
  onClick("start-over", onStartOver);
  for (const id of ["delete", "delete-recording"]) onClick(id, () => dialog.showModal());
  onClick("confirm-no", () => dialog.close());
  onClick("confirm-yes", () => {
    dialog.close();
    onDelete();
  });
}
