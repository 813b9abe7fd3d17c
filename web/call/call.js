// A call by whichever transport gets through: WebRTC, else a WebSocket to the same server.

import { Connection } from "/call/connection.js";

/**
 * Every transport (Connection, and WebSocketCall in websocket_call.js) is a class of this shape:
 *
 *   new Transport(handlers, wishes)
 *   open(), close(problem), send(message), isMuted
 *   stats()                      optional: {transport, roundTripMs, lostDown, lostUp}, shares in 0..1, null if unknown
 *   useMicrophone(deviceId)      optional: changes the microphone without leaving
 *
 * Handlers:
 *   onMicrophone("asking" | "on" | "muted" | "off", MediaStreamTrack | null)
 *   onVoice(MediaStream)         the agent's voice
 *   onJoined(string)             the conversation that the server named
 *   onEvent(object)              one line of the event log
 *   onClosed(Problem | null)     once, whoever ended the call; the problem if it was not wanted
 *
 * Wishes:
 *   conversation: id of one to go on with, or ""; options: {setting: value} for this session; isRecorded;
 *   microphoneId: "" for the browser's choice; iceServers: as RTCPeerConnection takes them
 */
export class Call {
  #handlers;
  #wishes;
  #transport = null;
  #isClosed = false;

  constructor(handlers, wishes) {
    this.#handlers = handlers;
    this.#wishes = wishes;
  }

  /** Resolves once events flow, or the call is closed. */
  async open() {
    if (typeof RTCPeerConnection === "undefined") return this.#fallBack(null);
    let unreachable = null;
    const onClosed = (problem) => {
      if (problem?.isUnreachable && !this.#isClosed) unreachable = problem;
      else this.#end(problem);
    };
    this.#transport = new Connection({ ...this.#handlers, onClosed }, this.#wishes);
    await this.#transport.open();
    if (unreachable !== null && !this.#isClosed) await this.#fallBack(unreachable);
  }

  get isMuted() {
    return this.#transport?.isMuted ?? false;
  }

  set isMuted(muted) {
    if (this.#transport !== null) this.#transport.isMuted = muted;
  }

  send(message) {
    this.#transport?.send(message);
  }

  async stats() {
    return (await this.#transport?.stats?.()) ?? null;
  }

  /** @returns {Promise<boolean>} whether the call goes on with that microphone; if not, join again */
  async useMicrophone(deviceId) {
    return (await this.#transport?.useMicrophone?.(deviceId)) === true;
  }

  close(problem = null) {
    this.#transport?.close(problem);
    this.#end(problem);
  }

  async #fallBack(unreachable) {
    let transport;
    try {
      ({ WebSocketCall: transport } = await import("/call/websocket_call.js"));
    } catch (error) {
      // The server has no such file: WebRTC's own fault is the one to tell.
      console.info(`no other transport: ${error.message}`);
    }
    if (this.#isClosed) return;
    if (!transport) return this.#end(unreachable);
    this.#transport = new transport({ ...this.#handlers, onClosed: (problem) => this.#end(problem) }, this.#wishes);
    await this.#transport.open();
  }

  #end(problem) {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#handlers.onClosed(problem);
  }
}
