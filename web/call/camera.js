// The camera: one picture when the server asks for it, and the camera is closed again before it is sent.

import { asDataUrl, asPicture } from "/conversation/picture_file.js";
import { sendPicture } from "/conversation/pictures_server.js";

// Cameras set themselves to the light first.
const SETTLING_FRAMES = 4;
// In a page that is hidden no frame is ever told of.
const FRAME_MS = 1000;
const PROBLEMS = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "none", OverconstrainedError: "none" };

export class Camera {
  #handlers;
  // The mark of the picture that is asked for now, else "".
  #asked = "";
  #stream = null;

  /**
   * @param {object} handlers
   *   send(message): to the agent; onPicture(mark, url): it was taken, as a data URL, and is being sent
   */
  constructor(handlers) {
    this.#handlers = handlers;
  }

  /** @param {object} event - of the event log; those that are not the camera's change nothing */
  follow({ event, ...asked }) {
    if (event === "camera_asked") this.#answer(asked);
    else if (["camera_taken", "camera_failed"].includes(event) && asked.mark === this.#asked) this.hangUp();
  }

  /** Nobody waits for a picture any more, for one because the call is over: the camera is closed. */
  hangUp() {
    this.#asked = "";
    this.#close();
  }

  #close() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
  }

  async #answer({ mark, max_bytes: maxBytes, max_side_px: maxSidePx }) {
    this.#asked = mark;
    const isAsked = () => this.#asked === mark;
    try {
      this.#stream = await openCamera(maxSidePx);
      // It may have been called off while the browser asked.
      const picture = isAsked() ? await takePicture(this.#stream, maxBytes, maxSidePx) : null;
      this.#close();
      if (picture === null || !isAsked()) return;
      this.#handlers.onPicture(mark, await asDataUrl(picture));
      await sendPicture(mark, picture);
    } catch (error) {
      if (isAsked()) this.#handlers.send({ type: "camera", mark, problem: PROBLEMS[error.name] ?? "failed" });
      this.#close();
    }
  }
}

/** @returns {Promise<MediaStream>} */
export async function openCamera(maxSidePx) {
  if (!navigator.mediaDevices) throw new DOMException("no camera is given to this page", "NotFoundError");
  return navigator.mediaDevices.getUserMedia({ video: { width: { ideal: maxSidePx } } });
}

/** @returns {Promise<Blob>} a JPEG file */
export async function takePicture(stream, maxBytes, maxSidePx) {
  const video = document.createElement("video");
  Object.assign(video, { muted: true, playsInline: true, srcObject: stream });
  await video.play();
  for (let n = 0; n < SETTLING_FRAMES; n += 1) await nextFrame(video);
  const { videoWidth, videoHeight } = video;
  const picture = await asPicture(video, videoWidth, videoHeight, { maxBytes, maxSidePx });
  video.srcObject = null;
  return picture;
}

function nextFrame(video) {
  return new Promise((resolve) => {
    setTimeout(resolve, FRAME_MS);
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(resolve);
    else video.addEventListener("timeupdate", resolve, { once: true });
  });
}
