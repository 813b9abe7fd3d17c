// Keeps the page's own files in the browser, so that it opens while the server is away. Only what the server marks as a
// file of the page is kept: never an answer of its API, never a word of a conversation. The server always comes first.

const MARK = "sotto-version";
const PREFIX = "sotto-page ";
const FILE = /^\/(?:[\w-]+\/)*[\w-]+\.(?:js|css|svg|png|webmanifest)$/;
const TEXT = /(?:\/|\.js|\.css)$/;
const NAMED = /"(\/(?:[\w-]+\/)*[\w-]+\.(?:js|css|svg|png|webmanifest))"/g;
// So long a network that does not answer is waited for, where the page is kept.
const PATIENCE_MS = 4_000;

// Pages that were opened from what is kept: all of their files are of that version.
const openedFromKept = new Set();

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("message", (event) => event.waitUntil(keepAll(event.data)));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (request.mode === "navigate") {
    if (pathname === "/") event.respondWith(openPage(event));
  } else if (FILE.test(pathname)) event.respondWith(openFile(event, pathname));
});

async function openPage(event) {
  const fresh = fetch(event.request);
  const kept = await find("/");
  try {
    // Asked for its token, the server answers what is no page of ours: that is shown, and what is kept stays.
    const answer = await (kept ? Promise.race([fresh, failAfter(PATIENCE_MS)]) : fresh);
    if (answer.ok && !answer.headers.has(MARK)) event.waitUntil(leave());
    else event.waitUntil(keep("/", answer));
    return answer;
  } catch (error) {
    fresh.catch(() => {});
    if (!kept) throw error;
    openedFromKept.add(event.resultingClientId);
    return kept;
  }
}

async function openFile(event, path) {
  const kept = openedFromKept.has(event.clientId) ? await find(path) : null;
  if (kept) return kept;
  try {
    const answer = await fetch(event.request);
    event.waitUntil(keep(path, answer));
    return answer;
  } catch (error) {
    const before = await find(path);
    if (!before) throw error;
    return before;
  }
}

/** Caches lie in the order in which they were made: the first is whole, a second one is being filled. */
async function find(path) {
  for (const name of await ownCaches()) {
    const kept = await (await caches.open(name)).match(path);
    if (kept) return kept;
  }
  return null;
}

async function keep(path, answer) {
  const name = nameFor(answer);
  if (name === "") return;
  const copy = answer.clone();
  await (await caches.open(name)).put(path, copy);
}

/** @returns {string} the cache that it belongs into; "" for what is no file of the page */
function nameFor(answer) {
  const version = answer.headers.get(MARK);
  return answer.ok && answer.type === "basic" && !answer.redirected && version ? PREFIX + version : "";
}

/**
 * Once the page has what it needs, all of it is kept, with what it may load later; and older versions go.
 *
 * @param {unknown} paths - that the page has loaded
 */
async function keepAll(paths) {
  if (!Array.isArray(paths)) return;
  const answers = new Map();
  // These have just come: the browser has them still. Of others it may have those of an earlier version.
  let wanted = ["/", ...paths.filter((path) => typeof path === "string" && FILE.test(path))];
  for (let cache = "force-cache"; wanted.length > 0; cache = "no-cache") {
    const named = await Promise.all(wanted.map((path) => addTo(answers, path, cache)));
    wanted = [...new Set(named.flat())].filter((path) => !answers.has(path));
  }
  const names = new Set([...answers.values()].map(nameFor));
  const [name] = names;
  if (names.size !== 1 || name === "") return;
  const cache = await caches.open(name);
  await Promise.all([...answers].map(([path, answer]) => cache.put(path, answer)));
  for (const other of await ownCaches()) if (other !== name) await caches.delete(other);
}

/** @returns {Promise<string[]>} the page's files that are named in this one */
async function addTo(answers, path, cache) {
  const answer = await fetch(path, { cache });
  answers.set(path, answer);
  if (!TEXT.test(path)) return [];
  return [...(await answer.clone().text()).matchAll(NAMED)].map(([, name]) => name).filter((name) => name !== location.pathname);
}

/** Another program lives at this address now. */
async function leave() {
  for (const name of await ownCaches()) await caches.delete(name);
  await registration.unregister();
}

async function ownCaches() {
  return (await caches.keys()).filter((name) => name.startsWith(PREFIX));
}

function failAfter(ms) {
  return new Promise((_, reject) => setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms));
}
