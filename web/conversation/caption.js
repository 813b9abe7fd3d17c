// What is being said now, as it stands beneath the presence. No DOM.

const MOST_CHARACTERS = 80;
const ROLES = { hearing: "user", thinking: "user", speaking: "agent", ducked: "agent", paused: "agent" };

/**
 * @param {string} state - a key of FLOOR
 * @param {object[]} items - of a Conversation
 * @returns {string} the words of whoever has the floor, their end where they are many; "" in silence
 */
export function captionOf(state, items) {
  const role = ROLES[state];
  const at = items.findLastIndex((item) => item.role === role);
  if (at < 0 || items[at].isWritten) return "";
  // An answer whose first word is still to come has none, rather than those of the one before.
  const isOld = role === "agent" && items.slice(at).some((item) => item.role === "user" && !item.partial && !item.isPending);
  return isOld ? "" : tail([items[at].text, items[at].partial].filter(Boolean).join(" "));
}

function tail(text) {
  if (text.length <= MOST_CHARACTERS) return text;
  const end = text.slice(-MOST_CHARACTERS);
  return `… ${end.slice(end.indexOf(" ") + 1)}`;
}
