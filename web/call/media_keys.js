// The call among the system's media: its name on the lock screen, and the keys of a keyboard or a headset.

// Those of a call ("hangup", "togglemicrophone") are known to Chromium's browsers alone.
const ACTIONS = { play: "unmute", pause: "mute", stop: "leave", hangup: "leave", togglemicrophone: "toggleMute" };
const ARTWORK = [{ src: "/icons/icon-192.png", sizes: "192x192", type: "image/png" }];

let isListening = false;
let shown = "";

/**
 * @param {{isWanted: boolean, isMuted: boolean}} call
 * @param {{mute, unmute, toggleMute, leave}} actions - what its keys do
 */
export function followMediaKeys({ isWanted, isMuted }, actions) {
  const media = navigator.mediaSession;
  if (!media) return;
  if (isWanted !== isListening) {
    isListening = isWanted;
    media.metadata = isWanted ? new MediaMetadata({ title: "In a call", artist: "Sotto", artwork: ARTWORK }) : null;
    for (const [key, action] of Object.entries(ACTIONS)) handle(media, key, isWanted ? actions[action] : null);
  }
  const playing = isMuted ? "paused" : "playing";
  const wanted = isWanted ? playing : "none";
  if (wanted === shown) return;
  shown = media.playbackState = wanted;
  // Some browsers answer with a promise, and refuse where the page is not seen.
  if (isWanted) media.setMicrophoneActive?.(!isMuted)?.catch?.(() => {});
}

function handle(media, key, action) {
  try {
    media.setActionHandler(key, action);
  } catch (error) {
    // A key that this browser does not know.
    if (!(error instanceof TypeError)) throw error;
  }
}
