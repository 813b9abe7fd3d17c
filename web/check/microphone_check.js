// The microphone under test: its sound in chunks of 20 ms, what it says about itself, and a short take of it.

import { openMicrophone } from "/call/microphone.js";
import { MicrophoneSound } from "/call/websocket_sound.js";
import { levelDbfs } from "/check/sound.js";

export const RATE_HZ = 16_000;
const CHUNKS_A_SECOND = 50;
// A room is louder than this; what is switched off is not.
const SILENT_DBFS = -75;
const SPEECH_DBFS = -48;
const SPEECH_CHUNKS = 5;
const SILENT_CHUNKS = 3 * CHUNKS_A_SECOND;
const TAKE_CHUNKS = 4 * CHUNKS_A_SECOND;
const PAUSE_CHUNKS = 0.8 * CHUNKS_A_SECOND;

export class MicrophoneCheck {
  #track = null;
  #sound = null;
  #onChunk;
  #nChunks = 0;
  #nLoud = 0;
  #mostDbfs = -Infinity;
  #take = null;

  /** @param {(levelDbfs: number) => void} onChunk - told every 20 ms */
  constructor(onChunk) {
    this.#onChunk = onChunk;
  }

  /** @returns {"new" | "silent" | "quiet" | "heard"} silent: nothing at all comes from it */
  get verdict() {
    if (this.#nLoud >= SPEECH_CHUNKS) return "heard";
    if (this.#nChunks < SILENT_CHUNKS) return "new";
    return this.#mostDbfs < SILENT_DBFS ? "silent" : "quiet";
  }

  /** @throws {Problem} as openMicrophone does */
  async open(deviceId, onAsking) {
    this.close();
    const sound = new MicrophoneSound();
    this.#sound = sound;
    const track = await openMicrophone(deviceId, onAsking);
    if (sound !== this.#sound) return track.stop();
    this.#track = track;
    [this.#nChunks, this.#nLoud, this.#mostDbfs] = [0, 0, -Infinity];
    await sound.open(track, (pcm16) => this.#hear(new Int16Array(pcm16)));
  }

  /** @returns {Promise<Int16Array[]>} what is said next, until a pause behind it or for four seconds */
  take() {
    return new Promise((resolve) => {
      this.#take = { chunks: [], nSpeech: 0, nPause: 0, resolve };
    });
  }

  close() {
    this.#sound?.close();
    this.#track?.stop();
    this.#endTake();
    this.#sound = this.#track = null;
  }

  #hear(chunk) {
    const dbfs = levelDbfs(chunk);
    const isLoud = dbfs > SPEECH_DBFS;
    this.#nChunks += 1;
    this.#nLoud += isLoud ? 1 : 0;
    this.#mostDbfs = Math.max(this.#mostDbfs, dbfs);
    if (this.#take) this.#addTo(this.#take, chunk, isLoud);
    this.#onChunk(dbfs);
  }

  #addTo(take, chunk, isLoud) {
    take.chunks.push(chunk);
    take.nSpeech += isLoud ? 1 : 0;
    take.nPause = isLoud ? 0 : take.nPause + 1;
    const isOver = take.nSpeech >= SPEECH_CHUNKS && take.nPause >= PAUSE_CHUNKS;
    if (isOver || take.chunks.length >= TAKE_CHUNKS) this.#endTake();
  }

  #endTake() {
    const take = this.#take;
    this.#take = null;
    take?.resolve(take.chunks);
  }
}
