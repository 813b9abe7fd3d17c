// The dialog that shows all that is remembered of this browser: to search, edit, forget and take along.

import { askFirst } from "/confirm.js";
import { byId, setText } from "/dom.js";
import { saveText } from "/conversation/saved_text.js";
import { memoryItem } from "/memory/memory_item.js";
import { editItem, exportMemory, fetchMemory, forgetItem } from "/memory/memory_server.js";

const FILE_NAME = "sotto-memory.jsonl";
const SEARCH_PAUSE_MS = 250;
const FORGET_ONE = {
  title: "Forget this for good?",
  text: "It cannot be brought back. With what you asked to remember goes what was said when you did.",
  yes: "Forget",
};
const FORGET_ALL = {
  title: "Forget everything for good?",
  text: "All that is remembered of this browser goes, also what is not shown here. It cannot be brought back.",
  yes: "Forget everything",
};

export class MemoryPanel {
  #dialog = byId("memory");
  #list = byId("memory-list");
  #before = null;
  #asked = 0;

  constructor() {
    let searching;
    byId("memory-about").addEventListener("input", () => {
      clearTimeout(searching);
      searching = setTimeout(() => this.#load(), SEARCH_PAUSE_MS);
    });
    byId("memory-form").addEventListener("submit", (event) => event.preventDefault());
    byId("memory-close").addEventListener("click", () => this.#dialog.close());
    byId("memory-more").addEventListener("click", () => this.#load(this.#before));
    byId("memory-export").addEventListener("click", () => this.#try(async () => saveText(await exportMemory(), FILE_NAME)));
    byId("memory-forget").addEventListener("click", () => askFirst(FORGET_ALL, () => this.#forget(undefined)));
  }

  open() {
    byId("memory-about").value = "";
    this.#list.replaceChildren();
    if (!this.#dialog.open) this.#dialog.showModal();
    return this.#load();
  }

  /** @param {number} [before] - go on with what is older than that; without it, begin anew */
  async #load(before) {
    const asked = ++this.#asked;
    const about = byId("memory-about").value.trim();
    await this.#try(async () => {
      const { conversations, items, before: next } = await fetchMemory({ before, about });
      // Letters that were typed meanwhile have asked anew.
      if (asked !== this.#asked) return;
      const drawn = items.map((item) => this.#draw(item));
      if (before) this.#list.append(...drawn);
      else this.#list.replaceChildren(...drawn);
      this.#before = next;
      this.#say(this.#summary(about, conversations));
    });
  }

  #draw(item) {
    return memoryItem(item, {
      onEdit: (text) => this.#edit(item.number, text),
      onForget: () => askFirst(FORGET_ONE, () => this.#forget(item.number)),
    });
  }

  async #edit(number, text) {
    // The turn in which a fact was said in its old words goes.
    if (!(await this.#try(() => editItem(number, text)))) return;
    await this.#load();
    const edit = this.#list.querySelector(`[aria-describedby="memory-${number}"]`);
    (edit ?? byId("memory-about")).focus();
  }

  async #forget(number) {
    // With a fact goes the turn in which it was said.
    if (await this.#try(() => forgetItem(number))) {
      await this.#load();
      byId("memory-about").focus();
    }
  }

  #summary(about, conversations) {
    byId("memory-more").hidden = this.#before === null;
    const asked = "What you asked the agent to remember in calls";
    const what = conversations ? `${asked}, and what was said or typed.` : `${asked}.`;
    if (this.#list.childElementCount > 0) return what;
    return about ? "Nothing that is remembered has these words." : `${what} There is nothing yet.`;
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
    setText(byId("memory-hint"), text);
  }
}
