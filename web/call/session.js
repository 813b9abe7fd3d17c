// The wish to be in a call: joins, joins again with other wishes, and comes back by itself when a call is lost.

import { fetchHealth, unreachable } from "/server.js";

const BACKOFF_MS = [400, 1_000, 2_000, 4_000, 8_000, 15_000];
const GIVE_UP_AFTER_MS = 5 * 60_000;
const LOOK_MS = 1_000;
// A machine that is gone does not even refuse: the next look does not wait for the one before.
const LOOK_PATIENCE_MS = 5_000;

/**
 * phase: "left"      no call is wanted
 *        "joining"   a call is being opened
 *        "joined"    events flow
 *        "waiting"   a call was lost; the next attempt is at `retryAtMs` (as Date.now())
 * problem: why the last call ended or could not be had; null if nothing is wrong
 *
 * Handlers: those of a Call but onClosed, and onChange() after each change of phase.
 */
export class Session {
  phase = "left";
  problem = null;
  retryAtMs = 0;
  #handlers;
  #wishes;
  #loadCall;
  #call = null;
  #attempt = null;
  #nFailures = 0;
  #lostAtMs = 0;
  #retry = 0;
  #looks = 0;
  #wasAway = false;
  #isMuted = false;

  /**
   * @param {() => object} wishes - of the next Call
   * @param {() => Promise<{Call: Function}>} loadCall - loads what a call needs
   */
  constructor(handlers, wishes, loadCall) {
    this.#handlers = handlers;
    this.#wishes = wishes;
    this.#loadCall = loadCall;
    addEventListener("online", () => this.tryNow());
  }

  get isWanted() {
    return this.phase !== "left";
  }

  /** @returns {boolean} whether a call was lost, and is tried again until it is there or given up */
  get isComingBack() {
    return this.isWanted && this.#nFailures > 0;
  }

  get isMuted() {
    return this.#isMuted;
  }

  set isMuted(muted) {
    this.#isMuted = muted;
    if (this.#call !== null) this.#call.isMuted = muted;
  }

  send(message) {
    this.#call?.send(message);
  }

  async stats() {
    return (await this.#call?.stats()) ?? null;
  }

  join() {
    if (this.isWanted) return;
    this.#isMuted = false;
    this.#nFailures = 0;
    this.#open();
  }

  leave(problem = null) {
    this.#stopWaiting();
    this.#drop();
    this.#change("left", problem);
  }

  /** Who goes on in another way need not read why a call could not be had. */
  dismissProblem() {
    if (this.phase === "left") this.problem = null;
  }

  /** Leave and join with the wishes of now; the conversation goes on. */
  rejoin() {
    if (!this.isWanted) return;
    this.#nFailures = 0;
    this.#drop();
    this.#open();
  }

  /** Do not wait for the next attempt. */
  tryNow() {
    if (this.phase === "waiting") this.#open();
  }

  /** The server said that it goes down: come back when it does. */
  comeBack(problem) {
    this.#drop();
    this.#wait(problem);
  }

  async useMicrophone(deviceId) {
    const isInUse = this.phase === "joined" && (await this.#call.useMicrophone(deviceId));
    if (!isInUse) this.rejoin();
  }

  #stopWaiting() {
    clearTimeout(this.#retry);
    clearInterval(this.#looks);
  }

  async #open() {
    this.#stopWaiting();
    const attempt = (this.#attempt = {});
    this.#change("joining", this.#nFailures > 0 ? this.problem : null);
    let kind;
    try {
      ({ Call: kind } = await this.#loadCall());
    } catch {
      if (attempt === this.#attempt) this.#lose(unreachable());
      return;
    }
    if (attempt !== this.#attempt) return;
    const call = this.#newCall(kind);
    this.#call = call;
    await call.open();
    if (call !== this.#call) return;
    this.#nFailures = 0;
    this.#wasAway = false;
    this.#change("joined", null);
  }

  #newCall(kind) {
    const told = (handle) => (...what) => {
      if (call === this.#call) handle(...what);
    };
    const { onVoice, onJoined, onEvent } = this.#handlers;
    const onMicrophone = (sign, track) => {
      // Who has muted the microphone is not heard for a moment by the next call.
      if (sign === "on" && this.#isMuted) call.isMuted = true;
      else this.#handlers.onMicrophone(sign, track);
    };
    const handlers = { onMicrophone, onVoice, onJoined, onEvent, onClosed: (problem) => this.#lose(problem) };
    const call = new kind(
      Object.fromEntries(Object.entries(handlers).map(([name, handle]) => [name, told(handle)])),
      this.#wishes(),
    );
    return call;
  }

  #lose(problem) {
    this.#drop();
    if (problem?.isPassing && (this.phase === "joined" || this.#nFailures > 0)) this.#wait(problem);
    else this.#change("left", problem);
  }

  #wait(problem) {
    if (this.#nFailures === 0) this.#lostAtMs = Date.now();
    if (Date.now() - this.#lostAtMs > GIVE_UP_AFTER_MS) return this.#change("left", problem);
    const delayMs = BACKOFF_MS[Math.min(this.#nFailures, BACKOFF_MS.length - 1)];
    this.#nFailures += 1;
    this.retryAtMs = Date.now() + delayMs;
    this.#stopWaiting();
    this.#retry = setTimeout(() => this.tryNow(), delayMs);
    this.#looks = setInterval(() => this.#lookForServer(), LOOK_MS);
    this.#change("waiting", problem);
  }

  /** A server that was away is joined as soon as it is ready; one that refuses is not asked more often for it. */
  async #lookForServer() {
    const looks = this.#looks;
    const status = await fetchHealth(LOOK_PATIENCE_MS).then(
      (health) => health?.status,
      () => "away",
    );
    if (this.phase !== "waiting" || looks !== this.#looks) return;
    if (status === "ready" && this.#wasAway) {
      this.#wasAway = false;
      return this.tryNow();
    }
    this.#wasAway ||= status !== "ready";
  }

  /** Let the call go; nothing of it is told any more. */
  #drop() {
    const call = this.#call;
    this.#call = this.#attempt = null;
    if (call === null) return;
    call.close();
    this.#handlers.onMicrophone("off", null);
  }

  #change(phase, problem) {
    this.phase = phase;
    this.problem = problem;
    this.#handlers.onChange();
  }
}
