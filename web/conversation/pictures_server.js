// Pictures on their way to the server: of the camera, and of messages.

import { pageId } from "/kept.js";
import { ANSWER_TIMEOUT_MS, ask } from "/server.js";

/** @param {string} mark - of the picture that a conversation asked for @param {Blob} picture - a JPEG file */
export async function sendPicture(mark, picture) {
  return ask(`/api/camera/${encodeURIComponent(mark)}`, post(picture), { orNull: true });
}

/** @param {Blob} picture - a JPEG file @returns {Promise<string>} the mark by which a message may name it, once */
export async function sendAhead(picture) {
  return (await ask("/api/pictures", post(picture, { "X-Sotto-Page": pageId() }))).mark;
}

function post(picture, headers = {}) {
  const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
  return { method: "POST", headers: { ...headers, "Content-Type": picture.type }, body: picture, signal };
}
