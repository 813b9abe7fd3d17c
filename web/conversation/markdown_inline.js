// Markdown within a line: bold, italic, strike-through, code and links, as DOM nodes.

import { create } from "/dom.js";

const SCHEMES = new Set(["http:", "https:", "mailto:"]);
// Signs within signs, no deeper, and no pair of signs further apart: hostile input must cost no more than its length.
const MOST_DEEP = 6;
const ESCAPED = /[\\`*_~[\]()<>#+.!|-]/;
const CODE = /(`{1,3})(?!`)(.{1,500}?)(?<!`)\1(?!`)/sy;
const STRONG = /(\*\*|__)(?=\S)(.{0,500}?\S)\1(?!\*)/sy;
const EMPHASIS = /([*_])(?=[^\s*_])(.{0,500}?[^\s*_])\1(?![\p{L}\p{N}_])/suy;
const STRUCK = /(~~)(?=\S)(.{0,500}?\S)~~/sy;
const LINK = /!?\[([^[\]]{1,300})\]\(\s*<?([^\s<>()]{1,1000}(?:\([^\s<>()]{0,100}\)[^\s<>()]{0,100})?)>?(?:\s+"[^"]{0,300}")?\s*\)/y;
const ADDRESS = /<?(https?:\/\/[^\s<>"'`*]{0,999}[^\s<>"'`*.,;:!?)\]}_~])>?/y;

/** What may begin at each sign, the longest first. */
const RULES = {
  "`": [codeAt],
  "*": [emphasisAt("strong", STRONG), emphasisAt("em", EMPHASIS)],
  _: [emphasisAt("strong", STRONG), emphasisAt("em", EMPHASIS)],
  "~": [emphasisAt("del", STRUCK)],
  "[": [linkAt],
  "!": [linkAt],
  "<": [addressAt],
  h: [addressAt],
};

/** @returns {DocumentFragment} `text` with its signs turned into elements; anything else stays text */
export function renderInline(text, depth = 0) {
  const fragment = document.createDocumentFragment();
  let plain = "";
  let at = 0;
  while (at < text.length) {
    const found = depth < MOST_DEEP ? elementAt(text, at, depth) : null;
    if (found !== null) {
      fragment.append(plain, found.node);
      plain = "";
      at += found.length;
    } else {
      if (text[at] === "\\" && ESCAPED.test(text[at + 1] ?? "")) at += 1;
      plain += text[at];
      at += 1;
    }
  }
  fragment.append(plain);
  return fragment;
}

function elementAt(text, at, depth) {
  for (const rule of RULES[text[at]] ?? []) {
    const found = rule(text, at, depth);
    if (found !== null) return found;
  }
  return null;
}

function matchAt(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function codeAt(text, at) {
  const match = matchAt(CODE, text, at);
  return match && { node: create("code", "", match[2].trim() || match[2]), length: match[0].length };
}

function emphasisAt(tag, pattern) {
  return (text, at, depth) => {
    // snake_case_names are words.
    if (text[at] === "_" && /[\p{L}\p{N}]/u.test(text[at - 1] ?? "")) return null;
    const match = matchAt(pattern, text, at);
    if (match === null) return null;
    const node = create(tag);
    node.append(renderInline(match[2], depth + 1));
    return { node, length: match[0].length };
  };
}

/** An image is never loaded: it is shown as a link to it. */
function linkAt(text, at) {
  const match = matchAt(LINK, text, at);
  const node = match && anchorTo(match[2], match[1]);
  return node && { node, length: match[0].length };
}

function addressAt(text, at) {
  const match = matchAt(ADDRESS, text, at);
  const node = match && anchorTo(match[1], match[1]);
  return node && { node, length: match[0].length };
}

/** @returns {HTMLAnchorElement | null} null unless the address is one that may be followed */
function anchorTo(address, label) {
  if (!URL.canParse(address)) return null;
  const { protocol, href } = new URL(address);
  if (!SCHEMES.has(protocol)) return null;
  const anchor = create("a", "", label);
  anchor.href = href;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer nofollow";
  // A label may say another address than it leads to.
  anchor.title = href;
  return anchor;
}
