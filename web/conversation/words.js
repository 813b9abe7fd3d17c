// Words of the event log: joined, compared, and split at where the sound is.

const REACH_WORDS = 4;
const CLOSING = /^[.,;:!?…)\]}’”]+$/;

/** @returns {string} a text of an event, or "" for anything else */
export function words(value) {
  return typeof value === "string" ? value.trim() : "";
}

/** @returns {string} both texts with a space between, unless the second is punctuation */
export function join(before, after) {
  if (!before || !after) return before || after;
  return CLOSING.test(after) ? before + after : `${before} ${after}`;
}

/**
 * @returns {string} the words of `planned` after a word that was heard; all of them if it is not among the next few
 *   (numbers and signs may be spoken otherwise than they are written)
 */
export function advance(planned, heardWord) {
  const ahead = split(planned);
  const at = ahead.slice(0, REACH_WORDS).findIndex((word) => bare(word) === bare(heardWord));
  return ahead.slice(at + 1).join(" ");
}

/** @returns {string} the words of `planned` that come after `heard`; "" where the two do not begin alike */
export function remainder(planned, heard) {
  const heardWords = split(heard);
  let ahead = planned;
  let nFound = 0;
  for (const word of heardWords) {
    const after = advance(ahead, word);
    if (after.length < ahead.length) nFound += 1;
    ahead = after;
  }
  return nFound * 2 >= heardWords.length ? split(ahead).join(" ") : "";
}

function split(text) {
  return text.split(/\s+/).filter((word) => bare(word) !== "");
}

function bare(word) {
  return word.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
}
