// The page, put together: buttons start and end a call, the call's events fill the conversation, the view draws both.

import { Choices } from "/settings/choices.js";
import { Composer } from "/conversation/composer.js";
import { Conversation } from "/conversation/conversation.js";
import { byId } from "/dom.js";
import { enginesNow } from "/conversation/engines.js";
import { isAgentBusy } from "/floor.js";
import { keepConversation, keepRecorded, keptConversation, keptRecorded } from "/kept.js";
import { listenToKeys } from "/keys.js";
import { late } from "/late.js";
import { LevelMeters } from "/call/level_meter.js";
import { Panels, listenToDetails } from "/panels.js";
import { Presence } from "/call/presence.js";
import { Problem, asProblem } from "/problem.js";
import { ServerWatch } from "/call/server_watch.js";
import { Session } from "/call/session.js";
import { View } from "/conversation/view.js";
import { listenToFiles } from "/conversation/handed_files.js";
import { WrittenAnswer } from "/conversation/written_answer.js";

const LINK_POLL_MS = 2_000;
const WAKE_KEY_MS = 500;
const TAKEN_OVER = "taken_over";
const GOING_DOWN = "server_stops";

const view = new View(tell);
const meters = new LevelMeters();
const presence = new Presence(byId("presence"), byId("middle"), meters.levels);
const choices = new Choices();
let conversation = new Conversation(keptConversation());
let problem = null;
let microphone = "off";
let isMuted = false;
let isHeld = false;
let link = null;
let recorded = keptRecorded().id;
let phaseBefore = "left";
let wasLost = false;
const restored = conversation.id;
const toldItems = new WeakSet();

const server = new ServerWatch(onServer);
// Its answer comes while the page is drawn.
const whenReady = server.follow();
const session = new Session({ onMicrophone, onVoice, onJoined, onEvent, onChange }, wishes, loadCall);
const written = new WrittenAnswer({ onChange: draw, onConversation: onJoined, onProblem: tell });
const composer = new Composer(write);
const say = (text) => view.announcer.say(text);
const current = () => conversation;
const panels = new Panels({
  ...{ server, choices, session, written, engines, current, begin: forget },
  ...{ choose, chooseMicrophone, chooseLoudspeaker, say, tell, draw },
});

// What stands around the call and the page; null until it is loaded. The browser may offer to install it before that.
const installOffer = new Promise((resolve) => addEventListener("beforeinstallprompt", resolve, { once: true }));
let around = null;
const loadAround = late(async () => {
  const { Around } = await import("/around.js");
  around = new Around(choices, session, { toggleMute, chooseMicrophone, chooseLoudspeaker, tell, installOffer });
  draw();
  return around;
});
const loadTools = late(() => import("/conversation/conversation_tools.js"));

// What a call and written words need beside the page that waits for them; null until it is loaded.
let talk = null;
const loadTalk = late(async () => {
  const { Talk } = await import("/conversation/talk.js");
  const page = { current, offer: () => server.offer, session, written, composer, choices, announcer: view.announcer, tell, draw };
  talk = new Talk({ ...page, onRefused: keepOptions, onChanged: onSettingsChanged, onHold });
});

async function loadCall() {
  const [call] = await Promise.all([import("/call/call.js"), loadTalk()]);
  return call;
}

function draw() {
  const state = stateNow();
  presence.follow(state, conversation.items.length > 0);
  composer.isEnabled = session.phase === "joined" || (session.phase === "left" && !written.isUnderWay);
  view.draw({
    state,
    isWanted: session.isWanted,
    conversation,
    microphone: microphoneSign(),
    problem: problem ?? session.problem ?? server.problem,
    isComingBack: problem === null && session.isComingBack,
    isSoundHeld: talk?.voice.isHeld === true,
    engines: engines(),
    answerSecs: conversation.engines ? conversation.answerSecs : (server.health?.answer_secs ?? null),
    link: session.phase === "joined" ? (link ?? {}) : null,
    hasKept: server.offer?.conversations === true,
    canRecord: server.offer?.recording === true,
    recorded,
    nChoices: Object.keys(choices.options).length,
    isRestored: restored !== "" && conversation.id === restored,
  });
  byId("aloud").checked = choices[aloudChoice()];
  panels.draw();
  talk?.draw();
  announceWritten();
  around?.draw(state, { isMuted, microphone: microphoneSign(), health: server.health });
}

function microphoneSign() {
  return microphone === "muted" && !isMuted ? "held" : microphone;
}

/** The server has said how it is: what can wait for that is loaded then. */
function onServer() {
  draw();
  loadAround().catch((error) => console.info(`not all of the page could be loaded: ${error.message}`));
}

function stateNow() {
  if (session.phase === "joined") {
    const { activity } = conversation;
    return isMuted && ["asleep", "listening", "hearing"].includes(activity) ? "muted" : activity;
  }
  if (session.phase === "joining") return microphone === "asking" ? "asking" : "connecting";
  if (session.phase === "waiting") return "waiting";
  if (written.isUnderWay) return conversation.activity === "writing" ? "writing" : "thinking";
  if (server.health === null && server.problem?.isPassing) return "away";
  return server.isStarting ? "starting" : "idle";
}

function engines() {
  return enginesNow(server.health?.engines ?? {}, conversation.engines ?? {});
}

/** In a call sound is expected; outside of one nothing speaks up that was not asked to. */
function aloudChoice() {
  return session.isWanted ? "isSpoken" : "isReadAloud";
}

function wishes() {
  return {
    conversation: conversation.id,
    options: choices.options,
    isRecorded: byId("record").checked && server.offer?.recording === true,
    microphoneId: choices.microphoneId,
    iceServers: server.offer?.ice_servers ?? [],
  };
}

function tell(error) {
  problem = error;
  draw();
}

// The call

function toggleCall() {
  problem = null;
  choices.dropUnknown(server.offer?.settings);
  if (session.isWanted) return session.leave();
  written.stop();
  talk?.hush();
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
  if (sign === "on") panels.nameDevices();
  draw();
}

function onVoice(stream) {
  meters.follow("agent", stream);
  talk.voice.follow(stream);
}

function onJoined(id) {
  keepConversation(id);
}

function onEvent(event) {
  conversation.apply(event);
  talk.follow(event);
  if (["session_started", "started_over"].includes(event.event)) {
    if (conversation.id) keepConversation(conversation.id);
    if (conversation.isRecording) keepRecorded((recorded = conversation.id), true);
  }
  if (["session_started", "settings_changed"].includes(event.event)) applyMute();
  if (event.event === "settings_changed") say("The settings are changed.");
  if (event.event === "session_ended") endSession(event.code);
  draw();
  if (event.event === "session_started" && conversation.isPushToTalk) talk.takeTheSpaceBar();
}

function endSession(code) {
  if (code === TAKEN_OVER) return session.leave(new Problem("This conversation goes on in another tab or window."));
  if (code !== GOING_DOWN) return session.leave();
  session.comeBack(new Problem("The server is going down."));
}

function onChange() {
  const { phase } = session;
  if (phase !== "joined") {
    talk?.hangUp();
    meters.follow("agent", null);
    talk?.voice.follow(null);
    link = null;
  }
  if (phase === "joined" || phase === "waiting") problem = null;
  if (phase === "joined" && phaseBefore !== "joined") say("You are in the call.");
  if (phase === "waiting") wasLost = true;
  if (phase === "joined" && wasLost) {
    wasLost = false;
    server.refresh();
  }
  if (phase === "left" && phaseBefore === "joined") say("You have left the call.");
  phaseBefore = phase;
  draw();
}

function onHold(held) {
  isHeld = held;
  applyMute();
  session.send({ type: "push_to_talk", active: held });
}

function toggleMute() {
  isMuted = !isMuted;
  applyMute();
  draw();
}

/** The presence and the space bar do what is next: they begin the call, wake the agent, or (the presence) stop it. */
function press() {
  if (isAgentBusy(stateNow())) interrupt();
  else beginOrWake();
}

function beginOrWake() {
  if (stateNow() === "asleep") wake();
  else if (!session.isWanted && !byId("talk").disabled) toggleCall();
}

/** To the agent a key that is held for a moment. */
function wake() {
  session.send({ type: "push_to_talk", active: true });
  setTimeout(() => session.send({ type: "push_to_talk", active: false }), WAKE_KEY_MS);
}

function interrupt() {
  talk?.hush();
  if (!isAgentBusy(stateNow())) return;
  if (session.phase === "joined") session.send({ type: "interrupt" });
  written.stop();
}

// Writing

listenToFiles((files) => loadTalk().then(() => talk.attach(files), (error) => tell(asProblem(error, "The picture could not be taken"))));

async function write(text) {
  problem = null;
  session.dismissProblem();
  try {
    await loadTalk();
  } catch (error) {
    composer.restore(text);
    return tell(asProblem(error, "The message could not be sent"));
  }
  return talk.ask(text);
}

/** A written answer makes no sound of its own: it is read aloud where that is wanted, else told to a screen reader. */
function announceWritten() {
  const item = conversation.items.findLast(({ role }) => role === "agent");
  if (!item?.isWritten || item.isStreaming || item.isEarlier || toldItems.has(item)) return;
  toldItems.add(item);
  if (!session.isWanted && choices.isReadAloud) talk?.readAloud(item);
  else say(`Agent: ${item.text}`);
}

// The conversation as a whole

function forget(id = "") {
  keepConversation(id);
  talk?.hush();
  conversation = new Conversation(id);
  keepRecorded((recorded = ""), byId("record").checked);
  draw();
}

function useTool(id) {
  byId("menu").hidePopover();
  const page = { current, session, written, forget, isRecorded: () => recorded !== "", say, tell };
  attempt("This could not be done", async () => (await loadTools()).useTool(id, page));
}

function checkSound() {
  byId("menu").hidePopover();
  attempt("The check could not be loaded", async () => (await loadAround()).checkSound());
}

async function attempt(what, work) {
  try {
    await work();
  } catch (error) {
    tell(asProblem(error, what));
  }
}

// Choices

function choose(options) {
  const before = choices.options;
  choices.change({ options });
  if (session.isWanted) talk?.change(options, before);
  tell(null);
}

function onSettingsChanged() {
  problem = null;
  server.askOptions();
  panels.askForModels();
}

function keepOptions(options, refusal) {
  choices.change({ options });
  tell(refusal);
}

async function chooseMicrophone(id) {
  choices.change({ microphoneId: id });
  if (session.isWanted) await attempt("The microphone could not be changed", () => session.useMicrophone(id));
}

function chooseLoudspeaker(id) {
  choices.change({ loudspeakerId: id });
  talk?.voice.moveTo(id);
}

async function followLink() {
  if (session.phase !== "joined" || document.hidden) return;
  link = await session.stats();
  draw();
}

// Buttons and keys

const onClick = (id, handle) => byId(id).addEventListener("click", handle);

onClick("talk", toggleCall);
onClick("try-now", () => session.tryNow());
onClick("mute", toggleMute);
onClick("presence", press);
// The keyboard stays where it was.
byId("presence").addEventListener("mousedown", (event) => event.preventDefault());
onClick("interrupt", interrupt);
onClick("play-sound", () => talk?.voice.play());
for (const id of ["save-text", "start-over", "delete", "delete-recording"]) onClick(id, () => useTool(id));
for (const id of ["check-sound", "check-again"]) onClick(id, checkSound);
byId("record").checked = keptRecorded().isOn;
byId("record").addEventListener("change", ({ target }) => {
  keepRecorded(recorded, target.checked);
  session.rejoin();
});
byId("aloud").addEventListener("change", ({ target }) => {
  choices.change({ [aloudChoice()]: target.checked });
  if (!target.checked && !session.isWanted) talk?.hush();
});
byId("chips").addEventListener("click", ({ target }) => target.closest("button") && write(target.textContent));
listenToDetails(choices, draw);
listenToKeys(choices, {
  " ": beginOrWake,
  m: () => byId("mute").hidden || toggleMute(),
  i: interrupt,
  escape: interrupt,
  "/": () => byId("message").focus(),
});
// A page in the back/forward cache must hold neither a call nor the microphone.
addEventListener("pagehide", () => {
  written.stop();
  if (session.isWanted) session.leave(new Problem("The call ended when you left the page. Start talking to go on with it."));
});
addEventListener("pageshow", ({ persisted }) => persisted && draw());
draw();
const areKept = () => whenReady.then(() => server.offer?.conversations === true);
if (restored) import("/memory/kept_conversations.js").then((kept) => kept.showWhatIsThere(conversation, areKept)).then(draw, () => {});
whenReady.then(async () => {
  panels.askForModels();
  // What is needed next is there by then; a server that is gone meanwhile says so when it is asked for.
  await Promise.allSettled([loadCall(), view.prepare(), loadTools(), loadAround()]);
  around?.keep();
});
setInterval(followLink, LINK_POLL_MS);
