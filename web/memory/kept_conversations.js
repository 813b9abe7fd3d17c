// The way to earlier conversations: the one of this tab after a reload, and those that are kept.

import { byId } from "/dom.js";
import { asProblem } from "/problem.js";
import { fetchConversation } from "/server.js";

/** Show what was said before the page was loaded anew, as far as the server still has it. */
export async function showWhatIsThere(conversation) {
  const { id } = conversation;
  const told = id && (await fetchConversation(id).catch(() => null));
  if (told && conversation.id === id && conversation.items.length === 0) conversation.restore(told);
}

/**
 * @param {object} page
 *   current(): the conversation that is shown; begin(id): one without any words; tell(problem); draw();
 *   session, written: the page's own
 */
export function listenToKept({ current, session, written, begin, tell, draw }) {
  let panel = null;
  const leaveFor = (id) => {
    session.leave();
    written.stop();
    begin(id);
  };
  const handlers = {
    onOpen(told) {
      if (told.conversation === current().id && current().items.length > 0) return;
      leaveFor(told.conversation);
      current().restore(told);
      draw();
    },
    onForgotten: (id) => id === current().id && leaveFor(""),
  };
  byId("open-conversations").addEventListener("click", async () => {
    byId("menu").hidePopover();
    try {
      // It is loaded when it is opened first.
      const { ConversationsPanel } = await import("/memory/conversations_panel.js");
      panel ??= new ConversationsPanel(handlers);
    } catch (error) {
      return tell(asProblem(error, "The conversations could not be shown"));
    }
    panel.open();
  });
}
