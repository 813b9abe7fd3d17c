// The dialog that shows all that is remembered of this browser: to search, edit, forget and take along.

import { askFirst } from "/confirm.js";
import { saveText } from "/conversation/saved_text.js";
import { KeptList } from "/memory/kept_list.js";
import { memoryItem } from "/memory/memory_item.js";
import { editItem, exportMemory, fetchMemory, forgetItem } from "/memory/memory_server.js";
import { pressed } from "/sheet.js";

const FILE_NAME = "sotto-memory.jsonl";
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
  #list;

  constructor() {
    const take = pressed("Export (JSON lines)", "memory-export");
    const forget = pressed("Forget everything", "memory-forget", "quiet");
    forget.setAttribute("aria-haspopup", "dialog");
    const look = { name: "memory", title: "Memory", search: "Search", foot: [take, forget] };
    this.#list = new KeptList(look, { fetch: fetchMemory, draw: (item) => this.#draw(item), describe });
    take.addEventListener("click", () => this.#list.try(async () => saveText(await exportMemory(), FILE_NAME)));
    forget.addEventListener("click", () => askFirst(FORGET_ALL, () => this.#forget(undefined)));
  }

  open() {
    return this.#list.open();
  }

  #draw(item) {
    return memoryItem(item, {
      onEdit: (text) => this.#edit(item.number, text),
      onForget: () => askFirst(FORGET_ONE, () => this.#forget(item.number)),
    });
  }

  async #edit(number, text) {
    // The turn in which a fact was said in its old words goes.
    if (await this.#list.try(() => editItem(number, text))) await this.#list.refresh(`[aria-describedby="memory-${number}"]`);
  }

  async #forget(number) {
    // With a fact goes the turn in which it was said.
    if (await this.#list.try(() => forgetItem(number))) await this.#list.refresh();
  }
}

function describe({ conversations }, about, isEmpty) {
  const asked = "What you asked the agent to remember in calls";
  const what = conversations ? `${asked}, and what was said or typed.` : `${asked}.`;
  if (!isEmpty) return what;
  return about ? "Nothing that is remembered has these words." : `${what} There is nothing yet.`;
}
