// Models that could be better ones: the first screen's line on them, and their sheet, which is loaded when it is opened
// or a pull goes on.

import { byId, setText } from "/dom.js";
import { late, withStyles } from "/late.js";
import { betterOf, bytesOf, describeSize, isUnderWay } from "/models/model_words.js";
import { fetchModels } from "/models/models_server.js";

const STYLES = ["/styles/settings.css", "/styles/models.css"];
const WORDS = { stt: "ears", tts: "voice" };

export class Models {
  #known = null;
  #sheet = null;
  #loadSheet;

  /** @param {object} handlers - of the ModelsSheet, but for onKnown */
  constructor(handlers) {
    const onKnown = (known) => {
      this.#known = known;
      this.draw();
    };
    this.#loadSheet = late(async () => {
      const [{ ModelsSheet }] = await Promise.all([import("/models/models_sheet.js"), withStyles(...STYLES)]);
      this.#sheet = new ModelsSheet({ ...handlers, onKnown });
      return this.#sheet;
    });
  }

  /** The line on the first screen, where something is known. */
  draw() {
    if (this.#known === null) return;
    const better = betterOf(this.#known);
    const kinds = [...new Set(better.map(({ stage }) => WORDS[stage]))].sort().reverse();
    byId("better").hidden = byId("open-models").hidden = better.length === 0;
    setText(byId("better"), better.length > 0 ? `Basic ${kinds.join(" and ")}.` : "");
    setText(byId("open-models"), `Better ones, ${describeSize(bytesOf(better))}`);
  }

  async open() {
    await (await this.#loadSheet()).open();
  }

  /** Ask the server anew. */
  async refresh() {
    if (this.#sheet !== null) return this.#sheet.refresh();
    this.#known = await fetchModels();
    this.draw();
    // What another page began, or this one before it was loaded anew, is followed to its end.
    if (this.#known.pulls.some(isUnderWay)) await (await this.#loadSheet()).refresh();
  }
}
