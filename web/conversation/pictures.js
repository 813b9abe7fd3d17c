// The pictures that the agent asks for, as the page knows them: events of the camera in, items out. No DOM, no network.

// Kept beside the items, which are compared whole whenever the page is drawn.
const urls = new WeakMap();

/** @returns {string} the picture of an item as a data URL; "" while there is none */
export function pictureOf(item) {
  return urls.get(item) ?? "";
}

/** @param {object} item - a user's message @param {{blob: Blob, url: string}[]} pictures - that it was asked with */
export function attach(item, pictures) {
  item.nPictures = pictures.length;
  urls.set(item, pictures);
}

/** @returns {{blob: Blob, url: string}[]} what a user's message was asked with */
export function attachedTo(item) {
  return item.nPictures ? urls.get(item) : [];
}

/**
 * item: {role: "picture", mark, state, hasPicture, reason}
 *   state: "asked" | "taken" | "failed"; reason: why there is none
 */
export class Pictures {
  #add;
  #items = [];

  /** @param {(item: object) => object} add - puts a new item into the conversation, and returns it as it stands there */
  constructor(add) {
    this.#add = add;
  }

  /** @param {object} event - camera_asked, camera_taken or camera_failed */
  apply({ event, mark, reason }) {
    if (event === "camera_asked") {
      this.#items.push(this.#add({ role: "picture", mark, state: "asked", hasPicture: false, reason: "" }));
      return;
    }
    const item = this.#find(mark);
    if (!item) return;
    item.state = event === "camera_taken" ? "taken" : "failed";
    if (item.state === "failed") this.#fail(item, typeof reason === "string" ? reason : "");
  }

  /** The page has taken it. @param {string} mark @param {string} url */
  show(mark, url) {
    const item = this.#find(mark);
    if (!item || item.state === "failed") return;
    urls.set(item, url);
    item.hasPicture = true;
  }

  /** The call is over. */
  hangUp() {
    for (const item of this.#items) if (item.state === "asked") this.#fail(item, "the call ended before");
  }

  #find(mark) {
    return this.#items.findLast((item) => item.mark === mark);
  }

  #fail(item, reason) {
    Object.assign(item, { state: "failed", hasPicture: false, reason });
    urls.delete(item);
  }
}
