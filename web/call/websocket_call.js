// One call over a WebSocket, for networks that WebRTC does not get through: PCM both ways, and the same messages.

import { openMicrophone } from "/call/microphone.js";
import { browserId, pageId } from "/kept.js";
import { Problem } from "/problem.js";
import { MicrophoneSound, VoiceSound } from "/call/websocket_sound.js";

const CONNECT_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 1_000;
const MICROPHONE_RATE_HZ = 16_000;
// Six seconds of the microphone's sound that the network does not take.
const MAX_UNSENT_BYTES = 6 * 2 * MICROPHONE_RATE_HZ;
const ENDED = 1_000;
const POLICY_VIOLATION = 1_008;

/** One of Call's transports, used once: open it, close it, and make a new one for the next call. */
export class WebSocketCall {
  #handlers;
  #wishes;
  #ending = new AbortController();
  #socket = null;
  #microphone = null;
  #microphoneSound = new MicrophoneSound();
  #voiceSound = new VoiceSound();
  #keepAlive = 0;

  constructor(handlers, wishes) {
    this.#handlers = handlers;
    this.#wishes = wishes;
  }

  /** Resolves once events flow. A failure, or a close() meanwhile, is told to onClosed. */
  async open() {
    try {
      await this.#takeMicrophone(this.#wishes.microphoneId);
      const { sample_rate_hz: rateHz } = await this.#join();
      const stream = await this.#voiceSound.open(rateHz);
      this.#ending.signal.throwIfAborted();
      this.#handlers.onVoice(stream);
      await this.#microphoneSound.open(this.#microphone, (pcm16) => this.#sendSound(pcm16));
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
    this.#handlers.onMicrophone(muted ? "muted" : "on", this.#microphone);
  }

  /** @returns {Promise<object>} TCP loses nothing, and tells nothing */
  async stats() {
    return { transport: "WebSocket", roundTripMs: null, lostDown: null, lostUp: null };
  }

  /** Speak into another microphone from now on. */
  async useMicrophone(deviceId) {
    const { isMuted } = this;
    const before = this.#microphone;
    try {
      await this.#takeMicrophone(deviceId);
      this.#microphoneSound.use(this.#microphone);
      before?.stop();
      return true;
    } finally {
      this.isMuted = isMuted;
    }
  }

  /** @param {object} message - for the agent; nothing is sent while there is no connection */
  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** @param {Problem | null} problem - why, if the person did not ask for it */
  close(problem = null) {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort();
    clearInterval(this.#keepAlive);
    this.#microphoneSound.close();
    this.#voiceSound.close();
    this.#microphone?.stop();
    this.#socket?.close(ENDED);
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
    this.close(new Problem("The microphone was unplugged or taken away.", "", { isPassing: true }));
  }

  /** @returns {Promise<{conversation: string, sample_rate_hz: number}>} the server's answer */
  #join() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(noAnswer()), CONNECT_TIMEOUT_MS);
      this.#ending.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(this.#ending.signal.reason);
      });
      const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/ws`);
      socket.binaryType = "arraybuffer";
      this.#socket = socket;
      socket.addEventListener("open", () => this.send(join(this.#wishes)));
      socket.addEventListener("close", (event) => this.#lose(event));
      socket.addEventListener("message", ({ data }) => {
        const message = this.#receive(data);
        if (message?.type === "refused") reject(refusal(message));
        if (message?.type !== "joined") return;
        clearTimeout(timer);
        this.#keepAlive = setInterval(() => this.#ping(), KEEP_ALIVE_MS);
        if (typeof message.conversation === "string") this.#handlers.onJoined?.(message.conversation);
        resolve(message);
      });
    });
  }

  #sendSound(pcm16) {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (this.#socket.bufferedAmount > MAX_UNSENT_BYTES) this.close(lostWay());
    else this.#socket.send(pcm16);
  }

  #ping() {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(`ping: ${Date.now()}`);
  }

  /** @returns {object | null} a text message's content */
  #receive(data) {
    if (this.#ending.signal.aborted) return null;
    if (data instanceof ArrayBuffer) {
      this.#voiceSound.play(data);
      return null;
    }
    const message = parse(data);
    if (message?.type === "clear") this.#voiceSound.clear();
    if (message?.type === "event" && typeof message.event?.event === "string") {
      this.#handlers.onEvent(message.event);
      if (message.event.event === "session_ended") this.close();
    }
    return message;
  }

  #lose({ code, reason }) {
    if (code === POLICY_VIOLATION) return this.close(new Problem(`The server ended the call: ${reason}.`));
    this.close(this.#keepAlive === 0 ? noAnswer() : lostWay());
  }
}

function join({ conversation, options, isRecorded }) {
  return {
    type: "join",
    sample_rate_hz: MICROPHONE_RATE_HZ,
    page: pageId(),
    browser: browserId(),
    ...(conversation ? { conversation } : {}),
    ...(options ? { options } : {}),
    ...(isRecorded ? { record: true } : {}),
  };
}

function refusal({ error, passing }) {
  return new Problem(`The server refused the call: ${error}.`, "", { isPassing: passing === true });
}

function noAnswer() {
  const words = "The server answered, but neither a sound path nor a WebSocket to it could be opened.";
  return new Problem(words, "", { isPassing: true });
}

function lostWay() {
  return new Problem("The connection to the server was lost.", "", { isPassing: true });
}

function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
