// The dialog that lists the conversations that are kept: to search, open, name, take along and delete them.

import { askFirst } from "/confirm.js";
import { saveText } from "/conversation/saved_text.js";
import { byId, setText } from "/dom.js";
import { conversationItem } from "/memory/conversation_item.js";
import { exportKept, fetchKept, forgetKept, openKept, renameKept } from "/memory/conversations_server.js";

const SEARCH_PAUSE_MS = 250;
const FILE_NAME = { text: "sotto-conversation.txt", json: "sotto-conversation.json" };
const DELETE = {
  title: "Delete this conversation for good?",
  text: "The server forgets what was said in it. What you asked the agent to remember stays in the memory.",
  yes: "Delete",
};

export class ConversationsPanel {
  #dialog = byId("conversations");
  #list = byId("conversations-list");
  #handlers;
  #before = null;
  #asked = 0;

  /** @param {object} handlers - onOpen({conversation, history, noted}): one is to be gone on with; onForgotten(id): one was deleted */
  constructor(handlers) {
    this.#handlers = handlers;
    let searching;
    byId("conversations-about").addEventListener("input", () => {
      clearTimeout(searching);
      searching = setTimeout(() => this.#load(), SEARCH_PAUSE_MS);
    });
    byId("conversations-form").addEventListener("submit", (event) => event.preventDefault());
    byId("conversations-close").addEventListener("click", () => this.#dialog.close());
    byId("conversations-more").addEventListener("click", () => this.#load(this.#before));
  }

  open() {
    byId("conversations-about").value = "";
    this.#list.replaceChildren();
    if (!this.#dialog.open) this.#dialog.showModal();
    return this.#load();
  }

  /** @param {number} [before] - go on with what is older than that; without it, begin anew */
  async #load(before) {
    const asked = ++this.#asked;
    const about = byId("conversations-about").value.trim();
    await this.#try(async () => {
      const { conversations, before: next } = await fetchKept({ before, about });
      // Letters that were typed meanwhile have asked anew.
      if (asked !== this.#asked) return;
      const drawn = conversations.map((one) => conversationItem(one, this.#actsOf(one)));
      if (before) this.#list.append(...drawn);
      else this.#list.replaceChildren(...drawn);
      this.#before = next;
      byId("conversations-more").hidden = next === null;
      this.#say(this.#list.childElementCount > 0 ? "" : about ? "No conversation has these words." : "There is none yet.");
    });
  }

  #actsOf({ id }) {
    return {
      onOpen: () => this.#open(id),
      onRename: (title) => this.#rename(id, title),
      onExport: (kind) => this.#try(async () => saveText(await exportKept(id, kind), FILE_NAME[kind])),
      onForget: () => askFirst(DELETE, () => this.#forget(id)),
    };
  }

  #open(id) {
    return this.#try(async () => {
      const told = await openKept(id);
      this.#dialog.close();
      this.#handlers.onOpen(told);
    });
  }

  async #rename(id, title) {
    if (!(await this.#try(() => renameKept(id, title)))) return;
    await this.#load();
    const renamed = this.#list.querySelector(`[data-conversation="${CSS.escape(id)}"] .kept-title`);
    (renamed ?? byId("conversations-about")).focus();
  }

  async #forget(id) {
    if (!(await this.#try(() => forgetKept(id)))) return;
    this.#handlers.onForgotten(id);
    await this.#load();
    byId("conversations-about").focus();
  }

  /** @returns {Promise<boolean>} whether it went well; else the dialog says why */
  async #try(work) {
    try {
      await work();
      return true;
    } catch (error) {
      this.#say(error.message);
      return false;
    }
  }

  #say(text) {
    setText(byId("conversations-hint"), text);
  }
}
