// The sheet of models: fetch better ears and voices, use them, remove them. The pulls go on at the server meanwhile.

import { askFirst } from "/confirm.js";
import { byId, create, setText } from "/dom.js";
import { drawModel, modelItem } from "/models/model_item.js";
import { cancelPull, fetchModels, fetchPulls, loadEngines, pausePull, removeModel, startPull } from "/models/models_server.js";
import { bytesOf, describeSize, isUnderWay, wantedOf } from "/models/model_words.js";
import { makeSheet, named, pressed } from "/sheet.js";

const ABOUT =
  "Models run on the machine of this server. A press on “Get” lets it fetch one from where its line says, and checks it; " +
  "nothing of yours is sent there. The call goes on meanwhile.";
const POLL_MS = 500;
const POLL_CLOSED_MS = 2_000;
const GROUPS = [
  { title: "Suits this machine", isShown: (model) => model.recommended },
  { title: "More ears", isShown: (model) => !model.recommended && model.stage === "stt" },
  { title: "More voices", isShown: (model) => !model.recommended && model.stage === "tts" },
  { title: "More language models", isShown: (model) => !model.recommended && model.stage === "llm" },
];

export class ModelsSheet {
  #dialog;
  #handlers;
  #hint = named("p", "models-hint", "hint");
  #all = pressed("", "models-all", "primary");
  #list = named("div", "models-list");
  #known = null;
  #items = new Map();
  #timer = 0;
  #loading = "";

  /**
   * @param {object} handlers
   *   optionsNow(): {setting: value} that this page asks for; onUse(options): go on with these; isInCall();
   *   onKnown(known): of /api/models; say(text): to a screen reader
   */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#hint.setAttribute("role", "status");
    this.#all.hidden = true;
    const body = [create("p", "", ABOUT), this.#all, this.#list];
    const { dialog, form, close } = makeSheet("models", "Better voice and ears", body, [this.#hint]);
    this.#dialog = dialog;
    form.addEventListener("submit", (event) => event.preventDefault());
    close.addEventListener("click", () => dialog.close());
    this.#all.addEventListener("click", () => this.#try(() => this.#getAll()));
    byId("models-here-use").addEventListener("click", () => this.#useArrived());
    byId("models-here-later").addEventListener("click", () => this.#tellArrived(null));
  }

  async open() {
    if (!this.#dialog.open) this.#dialog.showModal();
    await this.refresh();
  }

  /** Ask the server anew. */
  async refresh() {
    await this.#try(async () => {
      this.#take(await fetchModels());
      this.#say(`${describeSize(this.#known.free_bytes)} are free in ${this.#known.folder}.`);
    });
  }

  #pullOf(name) {
    return this.#known.pulls.find((pull) => pull.name === name);
  }

  /** @returns {boolean} whether a pull is in another state than before */
  #take(known) {
    const before = this.#known && this.#known.pulls;
    this.#known = known;
    const changed = known.pulls.filter(({ name, state }) => before && before.find((pull) => pull.name === name)?.state !== state);
    for (const { name, state } of changed) this.#announce(name, state);
    this.#draw();
    this.#handlers.onKnown(known);
    clearTimeout(this.#timer);
    if (known.pulls.some(isUnderWay)) {
      this.#timer = setTimeout(() => this.#follow(), this.#dialog.open ? POLL_MS : POLL_CLOSED_MS);
    }
    return changed.length > 0;
  }

  async #follow() {
    let pulls;
    try {
      pulls = await fetchPulls();
    } catch (error) {
      // A server that is gone for a moment: what it does then is asked again.
      this.#say(error.message);
      this.#timer = setTimeout(() => this.#follow(), POLL_CLOSED_MS);
      return;
    }
    if (this.#take({ ...this.#known, pulls })) await this.refresh();
  }

  #announce(name, state) {
    if (state === "failed") this.#handlers.say(`${name} could not be fetched.`);
    if (state === "done") this.#tellArrived(this.#known.models.find((model) => model.name === name));
  }

  /** A model that has come while the sheet was closed is offered beside the call. */
  #tellArrived(model) {
    const hint = byId("models-here");
    hint.hidden = !model || this.#dialog.open;
    if (!model) return;
    hint.dataset.name = model.name;
    setText(byId("models-here-text"), `${model.name} is here: ${model.purpose.toLowerCase()}.`);
    this.#handlers.say(`${model.name} is here.`);
  }

  #useArrived() {
    const model = this.#known.models.find(({ name }) => name === byId("models-here").dataset.name);
    this.#tellArrived(null);
    if (model) this.#try(() => this.#use(model)).then((isDone) => isDone || this.#dialog.open || this.#dialog.showModal());
  }

  #draw() {
    const places = GROUPS.map((group) => ({ ...group, models: this.#known.models.filter(group.isShown) }));
    if (this.#items.size !== this.#known.models.length) this.#build(places.filter(({ models }) => models.length > 0));
    const options = this.#handlers.optionsNow();
    for (const model of this.#known.models) {
      const isChosen = options[`${model.stage}.model`] === model.name;
      const now = { isChosen, isLoading: this.#loading === model.name };
      drawModel(this.#items.get(model.name), model, this.#pullOf(model.name), now);
    }
    const wanted = wantedOf(this.#known).filter(({ name }) => !isUnderWay(this.#pullOf(name) ?? {}));
    this.#all.hidden = wanted.length < 2;
    setText(this.#all, `Get all that suits this machine, ${describeSize(bytesOf(wanted))}`);
  }

  #build(places) {
    this.#items.clear();
    const sections = places.map(({ title, models }, n) => {
      const list = create("ul", "model-list");
      for (const model of models) {
        const item = modelItem(model.name, (action) => this.#do(action, model.name));
        this.#items.set(model.name, item);
        list.append(item);
      }
      const section = create("section");
      section.append(create("h3", "", title), list);
      if (n === 0) return section;
      const details = create("details", "model-group");
      details.append(create("summary", "", `${title} (${models.length})`), list);
      return details;
    });
    this.#list.replaceChildren(...sections);
  }

  #do(action, name) {
    if (this.#loading) return;
    const model = this.#known.models.find((one) => one.name === name);
    if (action === "remove") return this.#askToRemove(model);
    const work = { get: () => startPull(name), pause: () => pausePull(name), cancel: () => cancelPull(name) }[action];
    this.#try(work ? () => this.#after(work()) : () => this.#use(model));
  }

  async #after(done) {
    await done;
    await this.refresh();
  }

  async #getAll() {
    for (const { name } of wantedOf(this.#known)) await startPull(name);
    await this.refresh();
  }

  #askToRemove({ name, size_bytes: size }) {
    const words = { title: `Remove ${name}?`, text: `That frees ${describeSize(size)}. It can be fetched again.`, yes: "Remove" };
    askFirst(words, () => this.#try(() => this.#remove(name)));
  }

  /** What is gone is no longer asked for. */
  async #remove(name) {
    await removeModel(name);
    const { stage } = this.#known.models.find((model) => model.name === name);
    const options = this.#handlers.optionsNow();
    if (options[`${stage}.model`] === name) this.#handlers.onUse(withoutModel(options, stage));
    await this.refresh();
  }

  /** The engine is loaded while the call goes on with the one that it has; only then it changes. */
  async #use(model) {
    // The settings may change while it is loaded.
    const optionsThen = () => withModel(this.#handlers.optionsNow(), model);
    this.#loading = model.name;
    this.#draw();
    try {
      await loadEngines(optionsThen());
    } finally {
      this.#loading = "";
      this.#draw();
    }
    this.#handlers.onUse(optionsThen());
    // A call says itself when it has changed, or why not.
    if (!this.#handlers.isInCall()) this.#handlers.say(`${model.name} is used from now on.`);
    await this.refresh();
  }

  /** @returns {Promise<boolean>} whether it went well; else the sheet says why */
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
    setText(this.#hint, text);
  }
}

/** @returns {object} the options with a model in place of the one before; its voice and language were that one's */
function withModel(options, { stage, choice }) {
  const language = `${stage}.language`;
  const spoken = language in options && !(language in choice) ? { [language]: options[language] } : {};
  return { ...withoutModel(options, stage), ...spoken, ...choice };
}

function withoutModel(options, stage) {
  const gone = [`${stage}.engine`, `${stage}.model`, `${stage}.voice`, `${stage}.language`];
  return Object.fromEntries(Object.entries(options).filter(([key]) => !gone.includes(key)));
}
