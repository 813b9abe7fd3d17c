// The presence: one large shape that tells by colour, form and motion who has the floor, and moves with both voices.

import { draw } from "/call/presence_forms.js";

const FRAME_MS = 33;
const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const DARK = matchMedia("(prefers-color-scheme: dark)");
const MAX_PIXEL_RATIO = 2;
// The shapes of these do not move.
const AT_REST = new Set(["idle", "muted", "paused"]);
// With less room beneath the words it goes into the dock, with more it comes back; it does not waver between.
const TOO_LITTLE_PX = 130;
const ENOUGH_PX = 170;

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

  /**
   * @param {HTMLButtonElement} button - holds a canvas
   * @param {HTMLElement} room - what is left for it beneath the words
   * @param {{you: number, agent: number}} levels - of both voices, 0 to 1; read at each frame
   */
  constructor(button, room, levels) {
    this.#button = button;
    this.#canvas = button.querySelector("canvas");
    this.#levels = levels;
    this.#room = room;
    new ResizeObserver(() => this.#place()).observe(room);
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
    this.#state = state;
    this.#hasWords = hasWords;
    this.#place();
    this.#refresh();
  }

  #place() {
    const { dataset } = document.body;
    const leastPx = dataset.place === "dock" ? ENOUGH_PX : TOO_LITTLE_PX;
    const place = !this.#hasWords || this.#room.clientHeight >= leastPx ? "stage" : "dock";
    if (dataset.place === place) return;
    dataset.place = place;
    this.#refresh();
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
