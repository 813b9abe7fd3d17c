// Asks before what cannot be undone, in the page's one dialog for that.

import { byId, setText } from "/dom.js";

let onYes = () => {};

byId("confirm-no").addEventListener("click", () => byId("confirm").close());
byId("confirm-yes").addEventListener("click", () => {
  byId("confirm").close();
  onYes();
});

/**
 * @param {{title: string, text: string, yes: string, no?: string}} words - what is asked, what would happen, its buttons
 * @param {() => void} handle - done on a yes
 */
export function askFirst({ title, text, yes, no = "Keep it" }, handle) {
  onYes = handle;
  setText(byId("confirm-title"), title);
  setText(byId("confirm-text"), text);
  setText(byId("confirm-yes"), yes);
  setText(byId("confirm-no"), no);
  byId("confirm").showModal();
}
