// The page's large dialogs and what leads to them; each is loaded when it is first opened.

import { byId } from "/dom.js";
import { late, withStyles } from "/late.js";
import { asProblem } from "/problem.js";

const SHEET = "/styles/settings.css";
const LISTS = "/styles/memory.css";

/**
 * Times, network and engines, for those who want to see them.
 *
 * @param {Choices} choices - keep whether they are shown @param {() => void} onShown
 */
export function listenToDetails(choices, onShown) {
  const button = byId("open-details");
  const draw = async () => {
    button.setAttribute("aria-expanded", String(choices.hasDetails));
    if (choices.hasDetails) await withStyles("/styles/panels.css");
    byId("details").hidden = !choices.hasDetails;
    onShown();
  };
  button.addEventListener("click", () => {
    choices.change({ hasDetails: !choices.hasDetails });
    draw();
  });
  draw();
}

export class Panels {
  #page;
  #devices = null;
  #models = null;
  #loadSettings = late(() => this.#makeSettings());
  #loadModels = late(() => this.#makeModels());
  #loadMemory = late(() => this.#makeMemory());
  #loadConversations = late(() => this.#makeConversations());

  /**
   * @param {object} page
   *   server, choices, session, written: the page's own; engines(): those of now; current(): the conversation;
   *   begin(id): one without any words; choose(options): go on with these settings; chooseMicrophone(id);
   *   chooseLoudspeaker(id); say(text): to a screen reader; tell(problem); draw()
   */
  constructor(page) {
    this.#page = page;
    this.#onOpen("settings", "The settings", () => this.#openSettings());
    this.#onOpen("models", "The models", () => this.#openModels());
    this.#onOpen("memory", "The memory", async () => (await this.#loadMemory()).open());
    this.#onOpen("conversations", "The conversations", async () => (await this.#loadConversations()).open());
  }

  draw() {
    byId("open-memory").hidden = this.#page.server.offer?.memory !== true;
    this.#models?.draw();
  }

  /** Devices have names once the microphone was allowed. */
  nameDevices() {
    this.#devices?.draw();
  }

  /** Models are for whoever runs the server. */
  async askForModels() {
    if (this.#page.server.offer?.models !== true) return;
    try {
      await (await this.#loadModels()).refresh();
    } catch (error) {
      // Nobody has asked: who opens them is told.
      console.info(`the models are not known: ${error.message}`);
    }
  }

  #onOpen(name, what, open) {
    byId(`open-${name}`).addEventListener("click", () => this.#try(what, open));
  }

  async #try(what, open) {
    byId("menu").hidePopover();
    try {
      await open();
    } catch (error) {
      this.#page.tell(asProblem(error, `${what} could not be shown`));
    }
  }

  async #openSettings() {
    const { server, choices, session, engines } = this.#page;
    const panel = await this.#loadSettings();
    const isKnown = server.offer !== null;
    const open = () => panel.open(server, choices.dropUnknown(server.offer?.settings), engines(), session.isWanted);
    open();
    await panel.devices.draw();
    if (!isKnown && server.offer === null) await server.askOptions();
    if (!isKnown && panel.isOpen) open();
  }

  async #openModels() {
    await (await this.#loadModels()).open();
  }

  async #makeSettings() {
    const [{ SettingsPanel }] = await Promise.all([import("/settings/settings_panel.js"), withStyles(SHEET)]);
    const { choices, choose, chooseMicrophone, chooseLoudspeaker } = this.#page;
    const panel = new SettingsPanel(choices, {
      onApply: choose,
      onReset: () => choose({}),
      onModels: () => this.#try("The models", () => this.#openModels()),
      onMicrophone: chooseMicrophone,
      onLoudspeaker: chooseLoudspeaker,
    });
    this.#devices = panel.devices;
    return panel;
  }

  async #makeModels() {
    const { Models } = await import("/models/models.js");
    const { choices, session, choose, say } = this.#page;
    this.#models = new Models({ optionsNow: () => choices.options, isInCall: () => session.isWanted, onUse: choose, say });
    return this.#models;
  }

  async #makeMemory() {
    const [{ MemoryPanel }] = await Promise.all([import("/memory/memory_panel.js"), withStyles(SHEET, LISTS)]);
    return new MemoryPanel();
  }

  async #makeConversations() {
    const [{ ConversationsPanel }, { goingOn }] = await Promise.all([
      import("/memory/conversations_panel.js"),
      import("/memory/kept_conversations.js"),
      withStyles(SHEET, LISTS),
    ]);
    return new ConversationsPanel(goingOn(this.#page));
  }
}
