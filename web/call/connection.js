// One call to the agent: the microphone goes out, the agent's voice and the event log come in.

import { LinkQuality } from "/call/link_quality.js";
import { openMicrophone } from "/call/microphone.js";
import { Problem, asProblem } from "/problem.js";
import { sendCandidates, sendOffer } from "/call/offers.js";
import { isReachable } from "/server.js";

const CONNECT_TIMEOUT_MS = 10_000;
const INTERRUPTED_GRACE_MS = 5_000;
const KEEP_ALIVE_MS = 1_000;
// So many looks in a row without a packet of sound: is the server still there?
const STILL_LOOKS = 2;

/** One of Call's transports, used once: open it, close it, and make a new one for the next call. */
export class Connection {
  #handlers;
  #wishes;
  #ending = new AbortController();
  #peer = null;
  #channel = null;
  #microphone = null;
  #pcId = null;
  #candidates = [];
  #keepAlive = 0;
  #interrupted = 0;
  #nReceived = -1;
  #nStillLooks = 0;
  #quality = null;

  constructor(handlers, wishes) {
    this.#handlers = handlers;
    this.#wishes = wishes;
  }

  /** Resolves once events flow. A failure, or a close() meanwhile, is told to onClosed. */
  async open() {
    try {
      await this.#takeMicrophone(this.#wishes.microphoneId);
      const isOpen = this.#createPeer();
      await this.#negotiate();
      await isOpen;
    } catch (error) {
      if (this.#ending.signal.aborted) return;
      this.close(asProblem(error, "The connection failed"));
    }
  }

  get isMuted() {
    return this.#microphone !== null && !this.#microphone.enabled;
  }

  set isMuted(muted) {
    if (this.#microphone === null) return;
    this.#microphone.enabled = !muted;
    this.#handlers.onMicrophone(muted ? "muted" : "on", this.#microphone);
  }

  /** @returns {Promise<object | null>} how well the network carries the call */
  async stats() {
    return this.#quality === null ? null : this.#quality.measure();
  }

  /** Speak into another microphone from now on. */
  async useMicrophone(deviceId) {
    const { isMuted } = this;
    const before = this.#microphone;
    try {
      await this.#takeMicrophone(deviceId);
      await this.#peer.getSenders()[0].replaceTrack(this.#microphone);
      before?.stop();
      return true;
    } finally {
      // Without the wanted one the call keeps the microphone that it has.
      this.isMuted = isMuted;
    }
  }

  /** @param {object} message - for the agent; nothing is sent while there is no channel */
  send(message) {
    if (this.#channel?.readyState === "open") this.#channel.send(JSON.stringify(message));
  }

  /** @param {Problem | null} problem - why, if the person did not ask for it */
  close(problem = null) {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort();
    clearInterval(this.#keepAlive);
    clearTimeout(this.#interrupted);
    this.#microphone?.stop();
    this.#peer?.close();
    this.#handlers.onMicrophone("off", null);
    this.#handlers.onClosed(problem);
  }

  async #takeMicrophone(deviceId) {
    const track = await openMicrophone(deviceId, () => this.#handlers.onMicrophone("asking", null));
    if (this.#ending.signal.aborted) {
      track.stop();
      this.#ending.signal.throwIfAborted();
    }
    this.#microphone = track;
    track.addEventListener("ended", () => this.#loseMicrophone(track));
    this.#handlers.onMicrophone("on", track);
  }

  #loseMicrophone(track) {
    if (track !== this.#microphone) return;
    // Joining again takes another one, if there is any.
    this.close(new Problem("The microphone was unplugged or taken away.", "", { isPassing: true }));
  }

  /** @returns {Promise<void>} settles when the event channel opens, the call ends or time runs out */
  #createPeer() {
    const peer = new RTCPeerConnection({ iceServers: this.#wishes.iceServers ?? [] });
    this.#peer = peer;
    this.#quality = new LinkQuality(peer);
    peer.addEventListener("icecandidate", ({ candidate }) => this.#addCandidate(candidate));
    peer.addEventListener("connectionstatechange", () => this.#watch(peer.connectionState));
    peer.addEventListener("track", ({ track }) => this.#handlers.onVoice(new MediaStream([track])));
    peer.addTransceiver(this.#microphone, { direction: "sendrecv" });
    // The server reads the media sections in order: audio first, then data.
    this.#channel = peer.createDataChannel("events");
    this.#channel.addEventListener("message", ({ data }) => this.#receive(data));
    this.#channel.addEventListener("close", () => this.close(hangUp()));
    return this.#channelOpens();
  }

  #channelOpens() {
    const opens = new Promise((resolve, reject) => {
      const { signal } = this.#ending;
      const late = noPath();
      const timer = setTimeout(() => reject(late), CONNECT_TIMEOUT_MS);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
      this.#channel.addEventListener("open", () => {
        clearTimeout(timer);
        this.#keepAlive = setInterval(() => this.#tick(), KEEP_ALIVE_MS);
        this.#ping();
        resolve();
      });
    });
    // open() awaits it only after the negotiation, which may fail first.
    opens.catch(() => {});
    return opens;
  }

  async #negotiate() {
    const { signal } = this.#ending;
    await this.#peer.setLocalDescription();
    const answer = await sendOffer(this.#peer.localDescription, this.#wishes, signal);
    signal.throwIfAborted();
    await this.#peer.setRemoteDescription({ type: answer.type, sdp: answer.sdp });
    this.#pcId = answer.pc_id;
    if (typeof answer.conversation === "string") this.#handlers.onJoined(answer.conversation);
    await this.#flushCandidates();
  }

  #addCandidate(candidate) {
    if (!candidate?.candidate) return;
    this.#candidates.push(candidate);
    if (this.#pcId !== null) this.#flushCandidates();
  }

  async #flushCandidates() {
    const candidates = this.#candidates.splice(0);
    if (candidates.length === 0 || this.#ending.signal.aborted) return;
    try {
      await sendCandidates(this.#pcId, candidates, this.#ending.signal);
    } catch (error) {
      // The other candidates may do; if none does, the connection timeout says so.
      if (!this.#ending.signal.aborted) console.warn(`candidates not taken: ${error.message}`);
    }
  }

  #watch(state) {
    clearTimeout(this.#interrupted);
    const lost = () => this.close(this.#keepAlive === 0 ? noPath() : lostWay());
    if (state === "failed") lost();
    if (state !== "disconnected") return;
    this.#interrupted = setTimeout(lost, INTERRUPTED_GRACE_MS);
    this.#askServer(lost, () => this.#peer.connectionState === "disconnected");
  }

  /** The network may mend itself within the grace; a server that is gone will not. */
  async #askServer(lost, isStillBad) {
    if (!navigator.onLine || (await isReachable(INTERRUPTED_GRACE_MS))) return;
    if (!this.#ending.signal.aborted && isStillBad()) lost();
  }

  #tick() {
    this.#ping();
    this.#listenForServer();
  }

  /** The browser takes seconds to find that a server was killed; its sound stops at once. */
  async #listenForServer() {
    const nReceived = await this.#quality.nReceived();
    if (this.#ending.signal.aborted) return;
    this.#nStillLooks = nReceived === this.#nReceived ? this.#nStillLooks + 1 : 0;
    this.#nReceived = nReceived;
    if (this.#nStillLooks < STILL_LOOKS) return;
    this.#nStillLooks = 0;
    this.#askServer(
      () => this.close(lostWay()),
      () => this.#nReceived === nReceived,
    );
  }

  #ping() {
    if (this.#channel.readyState === "open") this.#channel.send(`ping: ${Date.now()}`);
  }

  #receive(data) {
    if (this.#ending.signal.aborted) return;
    const message = parse(data);
    if (message?.type === "event" && typeof message.event?.event === "string") {
      this.#handlers.onEvent(message.event);
      if (message.event.event === "session_ended") this.close();
    } else if (message?.type === "signalling" && message.message?.type === "peerLeft") {
      this.close(hangUp());
    }
  }
}

function noPath() {
  const words = "The server answered, but no sound path to it could be opened. Is a firewall in between?";
  return new Problem(words, "", { isUnreachable: true });
}

function lostWay() {
  return new Problem("The connection to the server was lost.", "", { isPassing: true });
}

function hangUp() {
  return new Problem("The server ended the call.", "", { isPassing: true });
}

function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
