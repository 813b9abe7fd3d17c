// The dialog that lists the conversations that are kept: to search, open, name, take along and delete them.

import { askFirst } from "/confirm.js";
import { saveText } from "/conversation/saved_text.js";
import { conversationItem } from "/memory/conversation_item.js";
import { exportKept, fetchKept, forgetKept, openKept, renameKept } from "/memory/conversations_server.js";
import { KeptList } from "/memory/kept_list.js";

const LOOK = { name: "conversations", title: "Conversations", search: "Find" };
const FILE_NAME = { text: "sotto-conversation.txt", json: "sotto-conversation.json" };
const DELETE = {
  title: "Delete this conversation for good?",
  text: "The server forgets what was said in it. What you asked the agent to remember stays in the memory.",
  yes: "Delete",
};

export class ConversationsPanel {
  #list;
  #handlers;

  /** @param {object} handlers - onOpen({conversation, history, noted}): one is to be gone on with; onForgotten(id): one was deleted */
  constructor(handlers) {
    this.#handlers = handlers;
    const draw = (kept) => conversationItem(kept, this.#actsOf(kept));
    this.#list = new KeptList(LOOK, { fetch: fetchKept, draw, describe });
  }

  open() {
    return this.#list.open();
  }

  #actsOf({ id }) {
    return {
      onOpen: () => this.#open(id),
      onRename: (title) => this.#rename(id, title),
      onExport: (kind) => this.#list.try(async () => saveText(await exportKept(id, kind), FILE_NAME[kind])),
      onForget: () => askFirst(DELETE, () => this.#forget(id)),
    };
  }

  #open(id) {
    return this.#list.try(async () => {
      const told = await openKept(id);
      this.#list.close();
      this.#handlers.onOpen(told);
    });
  }

  async #rename(id, title) {
    if (!(await this.#list.try(() => renameKept(id, title)))) return;
    await this.#list.refresh(`[data-conversation="${CSS.escape(id)}"] .kept-title`);
  }

  async #forget(id) {
    if (!(await this.#list.try(() => forgetKept(id)))) return;
    this.#handlers.onForgotten(id);
    await this.#list.refresh();
  }
}

function describe(_, about, isEmpty) {
  if (!isEmpty) return "";
  return about ? "No conversation has these words." : "There is none yet.";
}
