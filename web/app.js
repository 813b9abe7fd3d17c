// The page, put together: buttons start and end a call, the call's events fill the conversation, the view draws both.

import { Composer } from "/composer.js";
import { Conversation } from "/conversation.js";
import { DevicePickers, useLoudspeaker } from "/devices.js";
import { byId } from "/dom.js";
import { isAgentBusy } from "/floor.js";
import { keepChoices, keepConversation, keptChoices, keptConversation } from "/kept.js";
import { LevelMeters } from "/level_meter.js";
import { Problem, asProblem } from "/problem.js";
import { holdToTalk } from "/push_to_talk.js";
import { asText, saveText } from "/saved_text.js";
import { deleteConversation, fetchHealth, fetchOptions } from "/server.js";
import { Session } from "/session.js";
import { SettingsPanel } from "/settings_panel.js";
import { View } from "/view.js";
import { WrittenAnswer } from "/written_answer.js";

const HEALTH_POLL_MS = 1_000;
const LINK_POLL_MS = 2_000;
const GOING_DOWN = "the server stops";

const view = new View();
const meters = new LevelMeters();
const choices = keptChoices();
let conversation = new Conversation(keptConversation());
let offer = null;
let health = null;
let problem = null;
let microphone = "off";
let isMuted = false;
let isHeld = false;
let isSoundHeld = false;
let link = null;
let recorded = "";
let toldItem = null;
const restored = conversation.id;

const session = new Session({ onMicrophone, onVoice, onJoined, onEvent, onChange }, wishes);
const written = new WrittenAnswer({ onChange: draw, onConversation: onJoined, onProblem: tell });
const composer = new Composer(write);
const devices = new DevicePickers(choices, { onMicrophone: chooseMicrophone, onLoudspeaker: chooseLoudspeaker });
const settings = new SettingsPanel({ onApply: choose, onReset: () => choose({}) });

function draw() {
  const state = stateNow();
  composer.isEnabled = session.phase === "joined" || (session.phase === "left" && !written.isUnderWay);
  view.draw({
    state,
    isWanted: session.isWanted,
    conversation,
    microphone: microphoneSign(),
    problem: problem ?? session.problem,
    isSoundHeld,
    engines: engines(),
    link: session.phase === "joined" ? link : null,
    canRecord: offer?.recording === true,
    recorded,
    nChoices: Object.keys(choices.options).length,
    isRestored: restored !== "" && conversation.id === restored,
  });
  announceWritten();
}

function stateNow() {
  if (session.phase === "joined") return conversation.activity;
  if (session.phase === "joining") return microphone === "asking" ? "asking" : "connecting";
  if (session.phase === "waiting") return "waiting";
  if (written.isUnderWay) return conversation.activity === "writing" ? "writing" : "thinking";
  return health?.status === "starting" ? "starting" : "idle";
}

function microphoneSign() {
  return microphone === "muted" && !isMuted ? "held" : microphone;
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

function wishes() {
  return {
    conversation: conversation.id,
    options: choices.options,
    isRecorded: byId("record").checked && offer?.recording === true,
    microphoneId: choices.microphoneId,
    iceServers: offer?.ice_servers ?? [],
  };
}

function tell(error) {
  problem = error;
  draw();
}

// The call

function toggleCall() {
  problem = null;
  if (session.isWanted) return session.leave();
  written.stop();
  isMuted = isHeld = false;
  session.join();
}

function applyMute() {
  // With push-to-talk the microphone is closed until the button is held.
  session.isMuted = isMuted || (conversation.isPushToTalk && !isHeld);
}

function onMicrophone(sign, track) {
  microphone = sign;
  meters.follow("you", track ? new MediaStream([track]) : null);
  if (sign === "on") devices.draw();
  draw();
}

function onVoice(stream) {
  view.voice.srcObject = stream;
  meters.follow("agent", stream);
  playVoice();
}

async function playVoice() {
  try {
    await useLoudspeaker(view.voice, choices.loudspeakerId);
    await view.voice.play();
    isSoundHeld = false;
  } catch (error) {
    // AbortError: the call ended before the sound began.
    isSoundHeld = error.name === "NotAllowedError";
    if (!isSoundHeld && error.name !== "AbortError") tell(asProblem(error, "The agent’s voice cannot be played"));
  }
  draw();
}

function onJoined(id) {
  keepConversation(id);
}

function onEvent(event) {
  conversation.apply(event);
  if (event.event === "session_started") {
    if (conversation.id) keepConversation(conversation.id);
    if (conversation.isRecording) recorded = conversation.id;
    applyMute();
  }
  if (event.event === "session_ended") endSession(event.reason);
  draw();
}

function endSession(reason) {
  if (reason !== GOING_DOWN) return session.leave();
  session.comeBack(new Problem("The server is going down. The page comes back to the call when the server does."));
}

let phaseBefore = "left";

function onChange() {
  const { phase } = session;
  if (phase !== "joined") {
    conversation.hangUp();
    meters.follow("agent", null);
    view.voice.srcObject = null;
    isSoundHeld = false;
    link = null;
  }
  if (phase === "joined") problem = null;
  if (phase === "joined" && phaseBefore !== "joined") view.announcer.say("You are in the call.");
  if (phase === "left" && phaseBefore === "joined") view.announcer.say("You have left the call.");
  phaseBefore = phase;
  draw();
}

function interrupt() {
  if (session.phase === "joined") session.send({ type: "interrupt" });
  written.stop();
}

// Writing

function write(text) {
  problem = null;
  if (session.phase === "joined") {
    conversation.type(text);
    session.send({ type: "text", text, spoken: choices.isSpoken });
    draw();
  } else {
    written.ask(text, conversation).then((isTaken) => isTaken || composer.restore(text));
  }
}

/** A written answer makes no sound of its own. */
function announceWritten() {
  const item = conversation.items.findLast(({ role }) => role === "agent");
  if (!item?.isWritten || item.isStreaming || item.isEarlier || item === toldItem) return;
  toldItem = item;
  view.announcer.say(`Agent: ${item.text}`);
}

// The conversation as a whole

function startOver() {
  if (session.phase === "joined") return session.send({ type: "start_over" });
  written.stop();
  forget();
}

function forget() {
  keepConversation("");
  conversation = new Conversation();
  recorded = "";
  draw();
}

async function deleteAll() {
  const { id } = conversation;
  session.leave();
  written.stop();
  try {
    await deleteConversation(id);
    forget();
    view.announcer.say("The conversation is deleted.");
  } catch (error) {
    tell(asProblem(error, "The conversation could not be deleted"));
  }
}

// Choices

function choose(options) {
  choices.options = options;
  keepChoices(choices);
  if (session.isWanted) session.rejoin();
  draw();
}

async function chooseMicrophone(id) {
  choices.microphoneId = id;
  keepChoices(choices);
  if (!session.isWanted) return;
  try {
    await session.useMicrophone(id);
  } catch (error) {
    tell(asProblem(error, "The microphone could not be changed"));
  }
}

async function chooseLoudspeaker(id) {
  choices.loudspeakerId = id;
  keepChoices(choices);
  try {
    await useLoudspeaker(view.voice, id);
  } catch (error) {
    tell(asProblem(error, "The loudspeaker could not be changed"));
  }
}

async function openSettings() {
  await Promise.all([devices.draw(), offer === null ? fetchOffer() : null]);
  settings.open(offer, choices.options, engines(), session.isWanted);
}

async function fetchOffer() {
  try {
    offer = await fetchOptions();
    settings.sayNone(offer === null ? "This server offers no further settings." : "");
  } catch (error) {
    settings.sayNone(`The server’s settings could not be had. ${error.message}`);
  }
  dropUnknownChoices();
  draw();
}

/** What an earlier server knew, and this one does not, would be refused. */
function dropUnknownChoices() {
  if (offer === null) return;
  choices.options = Object.fromEntries(
    Object.entries(choices.options).filter(([key]) => Object.hasOwn(offer.settings ?? {}, key)),
  );
}

// The server

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
    if (health?.status === "ready") return fetchOffer();
    await new Promise((resolve) => setTimeout(resolve, HEALTH_POLL_MS));
  }
}

async function followLink() {
  if (session.phase !== "joined" || document.hidden) return;
  link = await session.stats();
  draw();
}

// Buttons and keys

function onClick(id, handle) {
  byId(id).addEventListener("click", handle);
}

onClick("talk", toggleCall);
onClick("try-now", () => session.tryNow());
onClick("mute", () => {
  isMuted = !isMuted;
  applyMute();
});
onClick("interrupt", interrupt);
onClick("play-sound", playVoice);
onClick("open-settings", openSettings);
onClick("start-over", startOver);
onClick("save-text", () => saveText(asText(conversation.items), "sotto-conversation.txt"));
for (const id of ["delete", "delete-recording"]) onClick(id, () => byId("confirm").showModal());
onClick("confirm-no", () => byId("confirm").close());
onClick("confirm-yes", () => {
  byId("confirm").close();
  deleteAll();
});
byId("record").addEventListener("change", () => session.rejoin());
byId("aloud").checked = choices.isSpoken;
byId("aloud").addEventListener("change", ({ target }) => {
  choices.isSpoken = target.checked;
  keepChoices(choices);
});
holdToTalk(byId("hold"), (held) => {
  isHeld = held;
  applyMute();
  session.send({ type: "push_to_talk", active: held });
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]") && isAgentBusy(stateNow())) interrupt();
});
// A page in the back/forward cache must hold neither a call nor the microphone.
addEventListener("pagehide", () => {
  written.stop();
  if (session.isWanted) session.leave(new Problem("The call ended when you left the page. Start talking to go on with it."));
});
addEventListener("pageshow", ({ persisted }) => persisted && draw());
draw();
followHealth();
setInterval(followLink, LINK_POLL_MS);
