// The microphone: a fresh, live track, or a Problem in words.

import { Problem } from "/problem.js";

const NONE = "No microphone was found. Plug one in, then start again. You can also write instead.";
const WORDS = {
  NotAllowedError:
    "The microphone was denied. Allow it for this page in the browser’s address bar (the sign left of the address), " +
    "then start again. You can also write instead.",
  SecurityError: "The browser’s settings forbid the microphone on this page. Allow it there, then start again.",
  NotFoundError: NONE,
  // WebKit's name for it: nothing that is asked for is more than a wish.
  OverconstrainedError: NONE,
  NotReadableError: "The microphone is in use by another program, or the system blocks it. Free it, then start again.",
  AbortError: "The microphone could not be started. Unplug it and plug it in again, then start again.",
};

/**
 * @param {string} [deviceId] - the wanted microphone; another one is taken if it is not there
 * @param {() => void} [onAsking] - called before the browser asks the person for permission
 * @returns {Promise<MediaStreamTrack>} live; the caller stops it
 * @throws {Problem} the page may not use a microphone, or there is none to use
 */
export async function openMicrophone(deviceId = "", onAsking = () => {}) {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    const local = `http://localhost${location.port ? `:${location.port}` : ""}`;
    throw new Problem(
      `Browsers give the microphone only to https pages and to localhost. Open ${local} on the machine that runs sotto.`,
    );
  }
  if ((await microphonePermission()) === "prompt") onAsking();
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  if (deviceId) audio.deviceId = { ideal: deviceId };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    return stream.getAudioTracks()[0];
  } catch (error) {
    throw new Problem(WORDS[error.name] ?? `The microphone could not be opened: ${error.message || error.name}.`);
  }
}

/** @returns {Promise<"granted" | "prompt" | "denied" | "unknown">} what a request for the microphone would meet */
async function microphonePermission() {
  try {
    return (await navigator.permissions.query({ name: "microphone" })).state;
  } catch (error) {
    // A browser that does not tell.
    if (error instanceof TypeError) return "unknown";
    throw error;
  }
}
