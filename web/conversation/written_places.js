// Where the characters of rendered Markdown stand in the Markdown itself.

// What is never seen of a source (an address, a fence) is no longer than this.
const REACH = 2_000;
const ADDED = ".language, .copy";

/**
 * Rendering leaves signs out, and adds nothing but what it labels: what is seen is found again in its order.
 *
 * @param {Element} rendered - of `source`
 * @param {string} source - Markdown
 * @returns {{node: Text, places: number[], isCode: boolean}[]} each text that is seen, in order; places: one a UTF-16
 *   unit, indices in Unicode characters of `source`; isCode: within a block of code
 */
export function placesIn(rendered, source) {
  const characters = [...source];
  const seen = document.createTreeWalker(rendered, NodeFilter.SHOW_TEXT);
  const texts = [];
  let at = 0;
  while (seen.nextNode()) {
    const node = seen.currentNode;
    if (node.data === "" || node.parentElement.closest(ADDED)) continue;
    const places = [];
    for (const character of node.data) {
      const found = find(characters, character, at);
      places.push(...Array(character.length).fill(found < 0 ? at : found));
      if (found >= 0) at = found + 1;
    }
    texts.push({ node, places, isCode: node.parentElement.closest("pre") !== null });
  }
  return texts;
}

function find(characters, wanted, at) {
  const isBlank = wanted.trim() === "";
  const end = Math.min(characters.length, at + REACH);
  for (let index = at; index < end; index += 1) {
    if (characters[index] === wanted || (isBlank && characters[index].trim() === "")) return index;
  }
  return -1;
}
