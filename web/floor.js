// Who has the floor, in words.

export const FLOOR = {
  starting: "The models are being loaded…",
  away: "Looking for the server…",
  idle: "Ready",
  asking: "Waiting for you",
  connecting: "Connecting…",
  waiting: "Reconnecting…",
  asleep: "Asleep",
  listening: "Listening",
  muted: "Muted",
  hearing: "Hearing you",
  thinking: "Thinking…",
  writing: "Writing…",
  speaking: "Speaking",
  ducked: "Lowered its voice",
  paused: "Paused for you",
};

export const MICROPHONE = {
  asking: "Your browser is asking: choose Allow",
  on: "Microphone is on",
  muted: "Microphone is muted",
  held: "Microphone opens while you hold",
  off: "Microphone is off",
};

/** @returns {boolean} whether there is something to interrupt */
export function isAgentBusy(state) {
  return ["thinking", "writing", "speaking", "ducked", "paused"].includes(state);
}
