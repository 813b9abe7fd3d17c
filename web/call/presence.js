// The presence: one large shape that tells by colour, form and motion who has the floor, and moves with both voices.

import { draw } from "/call/presence_forms.js";
import { scrollerOf } from "/dom.js";

const FRAME_MS = 33;
const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const DARK = matchMedia("(prefers-color-scheme: dark)");
const MAX_PIXEL_RATIO = 2;
// The shapes of these do not move.
const AT_REST = new Set(["idle", "muted", "paused"]);
// Where words come, it goes into the dock unless they leave it room; with so much more it comes back, and does not waver.
const SPARE_PX = 40;
// After so long a silence it comes back all the same, beneath the newest words, of which so much stays in sight.
const SILENCE_MS = 3_000;
const SILENT = new Set(["listening", "asleep", "muted"]);
const WORDS_PX = 140;

export class Presence {
  #button;
  #canvas;
  #room;
  #levels;
  #state = "idle";
  #hasWords = false;
  #frame = 0;
  #drawnMs = 0;
  #colours = null;
  #isSilent = false;
  #silence = 0;

  /**
   * @param {HTMLButtonElement} button - holds a canvas
   * @param {HTMLElement} room - holds it and, last, its caption; stands beneath the words
   * @param {{you: number, agent: number}} levels - of both voices, 0 to 1; read at each frame
   */
  constructor(button, room, levels) {
    this.#button = button;
    this.#canvas = button.querySelector("canvas");
    this.#levels = levels;
    this.#room = room;
    const resized = new ResizeObserver(() => this.#place());
    for (const element of [room, room.parentElement, ...room.parentElement.children]) resized.observe(element);
    new ResizeObserver(() => this.#refresh()).observe(button);
    for (const query of [STILL, DARK]) query.addEventListener("change", () => this.#refresh());
    document.addEventListener("visibilitychange", () => this.#refresh());
    this.#place();
  }

  /**
   * @param {string} state - a key of FLOOR
   * @param {boolean} hasWords - the conversation has begun
   */
  follow(state, hasWords) {
    if (state === this.#state && hasWords === this.#hasWords) return;
    if (state !== this.#state) this.#waitForSilence(state);
    this.#state = state;
    this.#hasWords = hasWords;
    this.#place();
    this.#refresh();
  }

  #waitForSilence(state) {
    if (SILENT.has(state) && SILENT.has(this.#state)) return;
    clearTimeout(this.#silence);
    this.#isSilent = false;
    if (!SILENT.has(state)) return;
    this.#silence = setTimeout(() => {
      this.#isSilent = true;
      this.#place();
    }, SILENCE_MS);
  }

  #place() {
    const { dataset } = document.body;
    const place = this.#hasRoom(dataset.place === "dock") ? "stage" : "dock";
    if (dataset.place === place) return;
    dataset.place = place;
    this.#refresh();
  }

  #hasRoom(isAway) {
    if (!this.#hasWords) return true;
    const scroller = scrollerOf(this.#room);
    const neededPx = this.#neededPx();
    if (this.#isSilent && scroller.clientHeight - neededPx >= WORDS_PX) return true;
    const left = scroller.clientHeight - (scroller.scrollHeight - this.#room.offsetHeight);
    return left >= neededPx + (isAway ? SPARE_PX : 0);
  }

  #neededPx() {
    const [shape, caption] = [this.#button.offsetHeight, this.#room.lastElementChild.offsetHeight];
    return getComputedStyle(this.#room).flexDirection === "row" ? Math.max(shape, caption) : shape + caption;
  }

  #refresh() {
    this.#colours = null;
    this.#draw(performance.now());
    this.#goOn();
  }

  /** Nothing runs while nothing moves, or where nobody sees it. */
  #goOn() {
    cancelAnimationFrame(this.#frame);
    const isSeen = !document.hidden && document.body.dataset.place === "stage";
    if (isSeen && !STILL.matches && !AT_REST.has(this.#state)) this.#frame = requestAnimationFrame((now) => this.#tick(now));
  }

  #tick(nowMs) {
    if (nowMs - this.#drawnMs >= FRAME_MS) this.#draw(nowMs);
    this.#goOn();
  }

  #draw(nowMs) {
    this.#drawnMs = nowMs;
    const canvas = this.#canvas;
    const side = Math.round(canvas.clientWidth * Math.min(devicePixelRatio, MAX_PIXEL_RATIO));
    if (side === 0) return;
    if (canvas.width !== side) canvas.width = canvas.height = side;
    this.#colours ??= coloursOf(this.#button);
    const context = canvas.getContext("2d");
    context.setTransform(side / 2, 0, 0, side / 2, side / 2, side / 2);
    context.clearRect(-1, -1, 2, 2);
    const levels = STILL.matches ? { you: 0, agent: 0 } : this.#levels;
    draw(context, this.#state, STILL.matches ? 0 : nowMs / 1000, levels, this.#colours);
  }
}

function coloursOf(element) {
  const style = getComputedStyle(element);
  return Object.fromEntries(["accent", "agent", "edge", "live", "raised"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
