// Pictures for the next message: pasted, dropped, chosen or taken; shown above the message box until it is sent.

import { openCamera, takePicture } from "/call/camera.js";
import { MAX_BYTES, MAX_SIDE_PX, asDataUrl, asPicture } from "/conversation/picture_file.js";
import { byId, create } from "/dom.js";
import { Problem } from "/problem.js";

// As the server takes them with one message.
const MOST = 4;
const MAX_FILE_BYTES = 50_000_000;
const BLIND = "The language model in use takes no pictures. Choose another one in the settings; those that can be had:";

export class Attachments {
  /** @type {?Promise} settles once the files that are being made small are there; null: there are none */
  making = null;
  #pictures = [];
  #list = byId("attached");
  #canSee;
  #tell;

  /** @param {{canSee: () => boolean, tell: (problem: Problem) => void}} page */
  constructor({ canSee, tell }) {
    this.#canSee = canSee;
    this.#tell = tell;
    const input = byId("attach-file");
    byId("attach").addEventListener("click", () => input.click());
    byId("snap").addEventListener("click", () => this.#takeOne());
    input.addEventListener("change", () => {
      this.add([...input.files]);
      input.value = "";
    });
  }

  get isEmpty() {
    return this.#pictures.length === 0;
  }

  /** The buttons are of no use to a model that sees nothing. */
  draw() {
    const canSee = this.#canSee();
    byId("attach").hidden = byId("snap").hidden = !canSee;
    byId("snap").disabled = !navigator.mediaDevices;
  }

  /** @returns {boolean} whether a message can go with these; where no model can see them, a word says so */
  canSend(pictures) {
    if (pictures.length === 0 || this.#canSee()) return true;
    this.#tell(new Problem(BLIND, "sotto models list"));
    return false;
  }

  /** @returns {?{blob: Blob, url: string}[]} what the message is sent with; null, and a word, where no model can see it */
  take() {
    if (!this.canSend(this.#pictures)) return null;
    const taken = this.#pictures;
    this.#pictures = [];
    this.#show();
    return taken;
  }

  /** Give back what could not be sent. */
  restore(pictures) {
    this.#pictures = [...pictures, ...this.#pictures].slice(0, MOST);
    this.#show();
  }

  /** @param {File[]} files */
  async add(files) {
    if (!this.canSend(files)) return;
    await this.#make(async () => {
      for (const file of files) await this.#addFile(file);
    });
    byId("message").focus();
  }

  async #make(work) {
    const making = Promise.allSettled([this.making, work()]);
    this.making = making;
    await making;
    if (this.making === making) this.making = null;
  }

  async #addFile(file) {
    const name = file.name || "What was pasted";
    if (file.size > MAX_FILE_BYTES) return this.#tell(new Problem(`${name} is larger than ${MAX_FILE_BYTES / 1e6} MB.`));
    let picture;
    try {
      const image = await createImageBitmap(file);
      picture = await asPicture(image, image.width, image.height);
      image.close();
    } catch {
      return this.#tell(new Problem(`${name} is no picture that this browser can read.`));
    }
    return this.#keep(picture);
  }

  async #takeOne() {
    let stream = null;
    try {
      stream = await openCamera(MAX_SIDE_PX);
      await this.#keep(await takePicture(stream, MAX_BYTES, MAX_SIDE_PX));
    } catch (error) {
      const why = error.name === "NotAllowedError" ? "The browser did not let the page use the camera" : error.message;
      this.#tell(new Problem(`No picture was taken: ${why}.`));
    } finally {
      stream?.getTracks().forEach((track) => track.stop());
    }
    byId("message").focus();
  }

  async #keep(blob) {
    const url = await asDataUrl(blob);
    if (this.#pictures.length >= MOST) return this.#tell(new Problem(`A message takes ${MOST} pictures at most.`));
    this.#pictures.push({ blob, url });
    return this.#show();
  }

  #show() {
    this.#list.hidden = this.isEmpty;
    this.#list.replaceChildren(...this.#pictures.map((picture, n) => this.#preview(picture, n)));
  }

  #preview(picture, n) {
    const element = create("li");
    const image = create("img");
    Object.assign(image, { src: picture.url, alt: `Picture ${n + 1} of the message` });
    const remove = create("button", "quiet", "×");
    Object.assign(remove, { type: "button", ariaLabel: `Remove picture ${n + 1}` });
    remove.addEventListener("click", () => {
      this.#pictures = this.#pictures.filter((kept) => kept !== picture);
      this.#show();
      byId("message").focus();
    });
    element.append(image, remove);
    return element;
  }
}
