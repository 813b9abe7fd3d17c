// The way to the conversations that are kept; their dialog is loaded when it is opened first.

import { byId } from "/dom.js";

/**
 * @param {object} handlers
 *   onOpen({conversation, history, noted}): one is to be shown and gone on with;
 *   onForgotten(id): one was deleted for good
 */
export function listenToKept(handlers) {
  let panel = null;
  byId("open-conversations").addEventListener("click", async () => {
    if (panel === null) {
      const { ConversationsPanel } = await import("/memory/conversations_panel.js");
      panel ??= new ConversationsPanel(handlers);
    }
    byId("menu").hidePopover();
    panel.open();
  });
}
