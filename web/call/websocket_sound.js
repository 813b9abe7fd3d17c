// Both sides of the sound of a WebSocketCall: a microphone as messages of 16 kHz s16, and messages as a voice.

const MICROPHONE_RATE_HZ = 16_000;

/** A microphone whose sound goes to `onSound` every 20 ms, as an ArrayBuffer of 16 kHz mono s16. */
export class MicrophoneSound {
  #context = null;
  #source = null;
  #node = null;
  #isClosed = false;

  /**
   * @param {MediaStreamTrack} track
   * @param {(pcm16: ArrayBuffer) => void} onSound
   */
  async open(track, onSound) {
    // The browser resamples if it can; a few take a microphone at its own rate only, and then the worklet does.
    if (!(await this.#start(track, { sampleRate: MICROPHONE_RATE_HZ }))) await this.#start(track, {});
    if (this.#node !== null) this.#node.port.onmessage = ({ data }) => onSound(data);
  }

  /** Go on with another microphone. */
  use(track) {
    const source = this.#context.createMediaStreamSource(new MediaStream([track]));
    this.#source.disconnect();
    this.#source = source;
    source.connect(this.#node);
  }

  close() {
    this.#isClosed = true;
    if (this.#node !== null) this.#node.port.onmessage = null;
    closeContext(this.#context);
  }

  async #start(track, options) {
    const context = await contextWith("/call/microphone_worklet.js", options);
    try {
      if (this.#isClosed) throw new DOMException("closed meanwhile", "AbortError");
      this.#source = context.createMediaStreamSource(new MediaStream([track]));
    } catch (error) {
      closeContext(context);
      if (error.name !== "NotSupportedError" || !options.sampleRate) throw error;
      return false;
    }
    this.#context = context;
    this.#node = new AudioWorkletNode(context, "microphone", {
      numberOfOutputs: 1,
      channelCount: 1,
      channelCountMode: "explicit",
    });
    // A node that leads nowhere would not run; what leaves it is silence.
    this.#source.connect(this.#node).connect(context.destination);
    await context.resume();
    return true;
  }
}

/** The agent's voice: what `play` is given comes out of `stream` at a steady pace. */
export class VoiceSound {
  #context = null;
  #node = null;
  #early = [];
  #isClosed = false;

  /**
   * @param {number} rateHz - of the sound that will be played
   * @returns {Promise<MediaStream>}
   */
  async open(rateHz) {
    const context = await contextWith("/call/voice_worklet.js", { sampleRate: rateHz });
    if (this.#isClosed) {
      closeContext(context);
      throw new DOMException("closed meanwhile", "AbortError");
    }
    this.#context = context;
    this.#node = new AudioWorkletNode(context, "voice", { numberOfInputs: 0, outputChannelCount: [1] });
    const destination = context.createMediaStreamDestination();
    this.#node.connect(destination);
    for (const pcm16 of this.#early.splice(0)) this.play(pcm16);
    await context.resume();
    return destination.stream;
  }

  /** @param {ArrayBuffer} pcm16 - taken over; mono s16 */
  play(pcm16) {
    if (this.#node === null) this.#early.push(pcm16);
    else this.#node.port.postMessage(pcm16, [pcm16]);
  }

  /** Drop what has not been played. */
  clear() {
    this.#early.length = 0;
    this.#node?.port.postMessage(null);
  }

  close() {
    this.#isClosed = true;
    this.clear();
    closeContext(this.#context);
  }
}

async function contextWith(module, options) {
  const context = new AudioContext({ latencyHint: "interactive", ...options });
  try {
    await context.audioWorklet.addModule(module);
  } catch (error) {
    closeContext(context);
    throw error;
  }
  return context;
}

function closeContext(context) {
  // It may be closed already, and nobody waits for it.
  if (context !== null && context.state !== "closed") context.close();
}
