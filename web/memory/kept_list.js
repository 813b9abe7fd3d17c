// A list that is kept at the server, in a dialog of its own: searched while one writes, shown page by page.

import { setText } from "/dom.js";
import { labelled, makeSheet, named, pressed } from "/sheet.js";

const SEARCH_PAUSE_MS = 250;
const MAX_SEARCH_CHARS = 200;

export class KeptList {
  #dialog;
  #list;
  #about;
  #hint;
  #more;
  #source;
  #before = null;
  #asked = 0;

  /**
   * @param {{name: string, title: string, search: string, foot?: Node[]}} look - search: label of what is looked for
   * @param {object} source
   *   fetch({before, about}): a page of it, {items, before}; before: null at the end
   *   draw(item): HTMLLIElement; describe(page, about, isEmpty): a line on it
   */
  constructor({ name, title, search, foot = [] }, source) {
    this.#source = source;
    this.#about = Object.assign(named("input", `${name}-about`), { type: "search", maxLength: MAX_SEARCH_CHARS });
    this.#hint = named("p", `${name}-hint`, "hint");
    this.#hint.setAttribute("role", "status");
    this.#list = named("ul", `${name}-list`, "memory-list");
    this.#more = pressed("Show older ones", `${name}-more`, "quiet");
    this.#more.hidden = true;
    const body = [labelled(search, this.#about), this.#hint, this.#list, this.#more];
    const { dialog, form, close } = makeSheet(name, title, body, foot);
    this.#dialog = dialog;
    form.addEventListener("submit", (event) => event.preventDefault());
    close.addEventListener("click", () => dialog.close());
    this.#more.addEventListener("click", () => this.#load(this.#before));
    this.#searchWhileWriting();
  }

  open() {
    this.#about.value = "";
    this.#list.replaceChildren();
    if (!this.#dialog.open) this.#dialog.showModal();
    return this.#load();
  }

  close() {
    this.#dialog.close();
  }

  /** Load it anew. @param {string} [then] - selector of what gets the keyboard; else the search does */
  async refresh(then = "") {
    await this.#load();
    const wanted = then ? this.#list.querySelector(then) : null;
    (wanted ?? this.#about).focus();
  }

  /** @returns {Promise<boolean>} whether it went well; else the dialog says why */
  async try(work) {
    try {
      await work();
      return true;
    } catch (error) {
      setText(this.#hint, error.message);
      return false;
    }
  }

  #searchWhileWriting() {
    let searching;
    this.#about.addEventListener("input", () => {
      clearTimeout(searching);
      searching = setTimeout(() => this.#load(), SEARCH_PAUSE_MS);
    });
  }

  /** @param {number} [before] - go on with what is older than that; without it, begin anew */
  async #load(before) {
    const asked = ++this.#asked;
    const about = this.#about.value.trim();
    await this.try(async () => {
      const page = await this.#source.fetch({ before, about });
      // Letters that were typed meanwhile have asked anew.
      if (asked !== this.#asked) return;
      const drawn = page.items.map((item) => this.#source.draw(item));
      if (before) this.#list.append(...drawn);
      else this.#list.replaceChildren(...drawn);
      this.#before = page.before;
      this.#more.hidden = page.before === null;
      setText(this.#hint, this.#source.describe(page, about, this.#list.childElementCount === 0));
    });
  }
}
