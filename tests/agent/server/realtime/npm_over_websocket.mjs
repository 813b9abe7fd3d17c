// node npm_over_websocket.mjs PACKAGE_FOLDER URL: holds the conversation over a WebSocket, and prints what came of it.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { talk } from "./npm_agent.mjs";

const [folder, url, sounds, ask] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/x.js`));
const Agents = require("@openai/agents-realtime");
// Of 24 kHz s16: sent as it is spoken, and silence behind it, as a microphone does.
const PIECE_BYTES = 4800;
const waiting = [];
const say = async (session, name) => {
  waiting.session = session;
  waiting.started ??= setInterval(() => {
    const piece = waiting.shift() ?? new Uint8Array(PIECE_BYTES);
    if (waiting.session.transport.status === "connected") waiting.session.sendAudio(piece.slice().buffer);
  }, 100);
  const sound = readFileSync(`${sounds}/${name}.pcm`);
  for (let at = 0; at + PIECE_BYTES <= sound.length; at += PIECE_BYTES) {
    waiting.push(new Uint8Array(sound.subarray(at, at + PIECE_BYTES)));
  }
};
const makeTransport = () => new Agents.OpenAIRealtimeWebSocket();
const drop = async () => console.log("drop");
const told = await talk({ Agents, makeTransport, url, apiKey: "none", say, drop, ask: JSON.parse(ask) });
clearInterval(waiting.started);
console.log(JSON.stringify(told));
process.exit(0);
