// The microphone: a fresh, live track, or a Problem in words.

import { Problem } from "/problem.js";

const WORDS = {
  NotAllowedError: "The microphone was denied. Allow it for this page in the browser’s address bar, then start again.",
  SecurityError: "The browser’s settings forbid the microphone on this page. Allow it there, then start again.",
  NotFoundError: "No microphone was found. Plug one in, then start again.",
  NotReadableError: "The microphone is in use by another program, or the system blocks it. Free it, then start again.",
  AbortError: "The microphone could not be started. Unplug it and plug it in again, then start again.",
};

/**
 * @returns {Promise<MediaStreamTrack>} live; the caller stops it
 * @throws {Problem} the page may not use a microphone, or there is none to use
 */
export async function openMicrophone() {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    const local = `http://localhost${location.port ? `:${location.port}` : ""}`;
    throw new Problem(
      `Browsers give the microphone only to https pages and to localhost. Open ${local} on the machine that runs sotto.`,
    );
  }
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    return stream.getAudioTracks()[0];
  } catch (error) {
    throw new Problem(WORDS[error.name] ?? `The microphone could not be opened: ${error.message || error.name}.`);
  }
}
