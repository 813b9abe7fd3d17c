// What stands around the call: the countdown while it is lost, the system's media keys, the check of the sound, and the
// page as an app of its own.

import { Countdown } from "/call/countdown.js";
import { byId } from "/dom.js";
import { keepPage, offerToInstall, versionOfPage } from "/installed.js";
import { followMediaKeys } from "/call/media_keys.js";
import { asProblem } from "/problem.js";

export class Around {
  #choices;
  #session;
  #handlers;
  #countdown = new Countdown(byId("countdown"));
  #isMuted = false;
  #isChecking = false;
  #version = "";
  #serverVersion = "";

  /**
   * @param {Choices} choices
   * @param {Session} session
   * @param {{toggleMute, chooseMicrophone, chooseLoudspeaker, tell}} handlers - of the page; tell is given a Problem
   */
  constructor(choices, session, handlers) {
    this.#choices = choices;
    this.#session = session;
    this.#handlers = handlers;
    for (const id of ["check-sound", "check-again"]) byId(id).addEventListener("click", () => this.#check());
    byId("reload").addEventListener("click", () => location.reload());
    offerToInstall();
    versionOfPage().then((version) => {
      this.#version = version;
      this.#drawNewer();
    });
  }

  /** @param {string} state - a key of FLOOR @param {boolean} isMuted @param {object | null} health - of the server */
  draw(state, isMuted, health) {
    this.#isMuted = isMuted;
    this.#countdown.follow(state === "waiting" ? this.#session.retryAtMs : 0);
    followMediaKeys({ isWanted: this.#session.isWanted, isMuted }, this.#mediaKeys());
    this.#serverVersion = health?.version ?? "";
    this.#drawNewer();
  }

  /** Once all of the page is loaded. */
  async keep() {
    await keepPage();
  }

  #drawNewer() {
    const [page, server] = [this.#version, this.#serverVersion];
    byId("newer").hidden = page === "" || server === "" || page === server;
  }

  #mediaKeys() {
    const { toggleMute } = this.#handlers;
    return {
      mute: () => this.#isMuted || toggleMute(),
      unmute: () => this.#isMuted && toggleMute(),
      toggleMute,
      leave: () => this.#session.leave(),
    };
  }

  /** Who tries the microphone in a call is not heard by the agent meanwhile. */
  async #check() {
    const { toggleMute, chooseMicrophone, chooseLoudspeaker, tell } = this.#handlers;
    if (this.#isChecking) return;
    this.#isChecking = true;
    byId("menu").hidePopover();
    const isShut = this.#session.isWanted && !this.#isMuted;
    if (isShut) toggleMute();
    try {
      const { checkSound } = await import("/check/sound_check.js");
      await checkSound(this.#choices, { onMicrophone: chooseMicrophone, onLoudspeaker: chooseLoudspeaker });
    } catch (error) {
      tell(asProblem(error, "The check could not be loaded"));
    }
    this.#isChecking = false;
    if (isShut && this.#session.isWanted && this.#isMuted) toggleMute();
  }
}
