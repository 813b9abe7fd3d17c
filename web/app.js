// The page, put together: buttons start and end a call, the call's events fill the conversation, the view draws both.

import { Connection } from "/connection.js";
import { Conversation } from "/conversation.js";
import { fetchHealth } from "/server.js";
import { View } from "/view.js";

const HEALTH_POLL_MS = 1_000;

const view = new View({ onTalk: toggleCall, onMute: toggleMute, onHold: hold, onPlaySound: playVoice });
let conversation = new Conversation();
let connection = null;
let isConnected = false;
let microphone = "off";
let problem = null;
let isSoundHeld = false;
let health = null;

function draw() {
  const { items } = conversation;
  const isPushToTalk = isConnected && conversation.isPushToTalk;
  const call = { state: state(), isTalking: connection !== null, isPushToTalk, microphone, problem, isSoundHeld };
  view.draw({ ...call, items, engines: engines() });
}

function state() {
  if (connection === null) return health?.status === "starting" ? "starting" : "idle";
  return isConnected ? conversation.activity : "connecting";
}

/** The health knows why engines were passed over; the session knows which ones serve it. */
function engines() {
  const known = health?.engines ?? {};
  const serving = Object.entries(conversation.engines ?? {}).map(([stage, engine]) => [
    stage,
    { ...known[stage], ...(typeof engine === "string" ? { engine } : engine) },
  ]);
  return { ...known, ...Object.fromEntries(serving) };
}

async function toggleCall() {
  if (connection !== null) return connection.close();
  conversation = new Conversation();
  problem = null;
  const opening = new Connection({ onMicrophone, onVoice, onEvent, onClosed });
  connection = opening;
  draw();
  await opening.open();
  isConnected = connection === opening;
  draw();
}

function toggleMute() {
  if (connection !== null) connection.isMuted = !connection.isMuted;
}

function hold(isHeld) {
  connection?.send({ type: "push_to_talk", active: isHeld });
}

function onMicrophone(sign) {
  microphone = sign;
  draw();
}

function onEvent(event) {
  conversation.apply(event);
  draw();
}

function onClosed(reason) {
  connection = null;
  isConnected = false;
  isSoundHeld = false;
  problem = reason;
  view.voice.srcObject = null;
  draw();
}

function onVoice(stream) {
  view.voice.srcObject = stream;
  playVoice();
}

async function playVoice() {
  try {
    await view.voice.play();
    isSoundHeld = false;
  } catch (error) {
    // AbortError: the call ended before the sound began.
    isSoundHeld = error.name === "NotAllowedError";
    if (!isSoundHeld && error.name !== "AbortError") console.warn(`the voice does not play: ${error.message}`);
  }
  draw();
}

/** Ask until the server is ready; say so while it does not answer. */
async function followHealth() {
  let unreachable = null;
  for (;;) {
    try {
      health = await fetchHealth();
      if (problem === unreachable) problem = null;
      unreachable = null;
    } catch (error) {
      // Said once: a new Problem every second would be announced every second.
      if (unreachable === null) problem ??= unreachable = error;
    }
    draw();
    if (health?.status === "ready") return;
    await new Promise((resolve) => setTimeout(resolve, HEALTH_POLL_MS));
  }
}

addEventListener("pagehide", () => connection?.close());
draw();
followHealth();
