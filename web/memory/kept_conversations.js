// The way to earlier conversations: the one of this tab after a reload, and those that are kept.

import { fetchConversation } from "/server.js";

/**
 * Show what was said before the page was loaded anew, as far as the server still has it, or has kept it.
 *
 * @param {Conversation} conversation
 * @param {() => Promise<boolean>} areKept - whether conversations are, as the server says
 */
export async function showWhatIsThere(conversation, areKept) {
  const { id } = conversation;
  const told = (await fetchConversation(id).catch(() => null)) ?? ((await areKept()) ? await reopen(id) : null);
  if (told && conversation.id === id && conversation.items.length === 0) conversation.restore(told);
}

/** A server that was started anew has only what it has kept. */
async function reopen(id) {
  const { openKept } = await import("/memory/conversations_server.js");
  return openKept(id).catch(() => null);
}

/**
 * @param {object} page
 *   current(): the conversation that is shown; begin(id): one without any words; draw(); session, written: the page's own
 * @returns {object} handlers of a ConversationsPanel
 */
export function goingOn({ current, session, written, begin, draw }) {
  const leaveFor = (id) => {
    session.leave();
    written.stop();
    begin(id);
  };
  return {
    onOpen(told) {
      if (told.conversation === current().id && current().items.length > 0) return;
      leaveFor(told.conversation);
      current().restore(told);
      draw();
    },
    onForgotten: (id) => id === current().id && leaveFor(""),
  };
}
