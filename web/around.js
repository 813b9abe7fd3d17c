// What stands around the call: the countdown while it is lost, the system's media keys, the screen that stays lit, the
// check of the sound, the tab's title and icon, and the page as an app of its own.

import { Countdown } from "/call/countdown.js";
import { byId } from "/dom.js";
import { keepPage, offerToInstall, versionOfPage } from "/installed.js";
import { followMediaKeys } from "/call/media_keys.js";
import { drawTab } from "/tab.js";
import { keepAwake } from "/call/wake_lock.js";

export class Around {
  #choices;
  #session;
  #handlers;
  #countdown = new Countdown(byId("countdown"));
  #isMuted = false;
  #isAwake = false;
  #isChecking = false;
  #version = "";
  #serverVersion = "";

  /**
   * @param {Choices} choices
   * @param {Session} session
   * @param {{toggleMute, chooseMicrophone, chooseLoudspeaker, installOffer}} handlers - of the page; installOffer: a
   *   promise of the browser's, which may come before this is loaded
   */
  constructor(choices, session, handlers) {
    this.#choices = choices;
    this.#session = session;
    this.#handlers = handlers;
    byId("reload").addEventListener("click", () => location.reload());
    offerToInstall(handlers.installOffer);
    versionOfPage().then((version) => {
      this.#version = version;
      this.#drawNewer();
    });
  }

  /**
   * @param {string} state - a key of FLOOR
   * @param {{isMuted: boolean, microphone: string, health: object | null}} now - a key of MICROPHONE; of the server
   */
  draw(state, { isMuted, microphone, health }) {
    this.#isMuted = isMuted;
    drawTab(state, microphone);
    if (this.#isAwake !== this.#session.isWanted) keepAwake((this.#isAwake = this.#session.isWanted));
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
  async checkSound() {
    const { toggleMute, chooseMicrophone, chooseLoudspeaker } = this.#handlers;
    if (this.#isChecking) return;
    this.#isChecking = true;
    const isShut = this.#session.isWanted && !this.#isMuted;
    if (isShut) toggleMute();
    try {
      const { checkSound } = await import("/check/sound_check.js");
      await checkSound(this.#choices, { onMicrophone: chooseMicrophone, onLoudspeaker: chooseLoudspeaker });
    } finally {
      this.#isChecking = false;
      if (isShut && this.#session.isWanted && this.#isMuted) toggleMute();
    }
  }
}
