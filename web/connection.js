// One call to the agent: the microphone goes out, the agent's voice and the event log come in.

import { openMicrophone } from "/microphone.js";
import { Problem } from "/problem.js";
import { sendCandidates, sendOffer } from "/server.js";

const CONNECT_TIMEOUT_MS = 15_000;
const INTERRUPTED_GRACE_MS = 8_000;
const KEEP_ALIVE_MS = 1_000;

/**
 * A connection is used once: open it, close it, and make a new one for the next call.
 *
 * Handlers:
 *   onMicrophone("on" | "muted" | "off")
 *   onVoice(MediaStream)          the agent's voice
 *   onEvent(object)               one line of the event log
 *   onClosed(Problem | null)      once, whoever ended the call; the problem if it was not wanted
 */
export class Connection {
  #handlers;
  #ending = new AbortController();
  #peer = null;
  #channel = null;
  #microphone = null;
  #pcId = null;
  #candidates = [];
  #keepAlive = 0;
  #interrupted = 0;

  constructor(handlers) {
    this.#handlers = handlers;
  }

  /** Resolves once events flow. A failure, or a close() meanwhile, is told to onClosed. */
  async open() {
    try {
      await this.#takeMicrophone();
      const isOpen = this.#createPeer();
      await this.#negotiate();
      await isOpen;
    } catch (error) {
      if (this.#ending.signal.aborted) return;
      this.close(error instanceof Problem ? error : new Problem(`The connection failed: ${error.message}`));
    }
  }

  get isMuted() {
    return this.#microphone !== null && !this.#microphone.enabled;
  }

  set isMuted(muted) {
    if (this.#microphone === null) return;
    this.#microphone.enabled = !muted;
    this.#handlers.onMicrophone(muted ? "muted" : "on");
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
    this.#handlers.onMicrophone("off");
    this.#handlers.onClosed(problem);
  }

  async #takeMicrophone() {
    const track = await openMicrophone();
    if (this.#ending.signal.aborted) {
      track.stop();
      this.#ending.signal.throwIfAborted();
    }
    this.#microphone = track;
    track.addEventListener("ended", () => this.close(new Problem("The microphone was unplugged or taken away.")));
    this.#handlers.onMicrophone("on");
  }

  /** @returns {Promise<void>} settles when the event channel opens, the call ends or time runs out */
  #createPeer() {
    const peer = new RTCPeerConnection({ iceServers: [] });
    this.#peer = peer;
    peer.addEventListener("icecandidate", ({ candidate }) => this.#addCandidate(candidate));
    peer.addEventListener("connectionstatechange", () => this.#watch(peer.connectionState));
    peer.addEventListener("track", ({ track }) => this.#handlers.onVoice(new MediaStream([track])));
    peer.addTransceiver(this.#microphone, { direction: "sendrecv" });
    // The server reads the media sections in order: audio first, then data.
    this.#channel = peer.createDataChannel("events");
    this.#channel.addEventListener("message", ({ data }) => this.#receive(data));
    this.#channel.addEventListener("close", () => this.close(new Problem("The server ended the call.")));
    return this.#channelOpens();
  }

  #channelOpens() {
    const opens = new Promise((resolve, reject) => {
      const { signal } = this.#ending;
      const late = new Problem("The server answered, but no sound path to it could be opened. Is a firewall in between?");
      const timer = setTimeout(() => reject(late), CONNECT_TIMEOUT_MS);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
      this.#channel.addEventListener("open", () => {
        clearTimeout(timer);
        this.#keepAlive = setInterval(() => this.#ping(), KEEP_ALIVE_MS);
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
    const answer = await sendOffer(this.#peer.localDescription, signal);
    signal.throwIfAborted();
    await this.#peer.setRemoteDescription({ type: answer.type, sdp: answer.sdp });
    this.#pcId = answer.pc_id;
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
    const lost = () => this.close(new Problem("The connection to the server was lost."));
    if (state === "failed") lost();
    if (state === "disconnected") this.#interrupted = setTimeout(lost, INTERRUPTED_GRACE_MS);
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
      this.close(new Problem("The server ended the call."));
    }
  }
}

function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
