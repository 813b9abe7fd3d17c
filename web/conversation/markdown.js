// Markdown as DOM nodes: headings, paragraphs, lists, quotes, rules, tables, fenced code. Never markup from text.

import { copyButton } from "/conversation/copy_button.js";
import { create } from "/dom.js";
import { renderInline } from "/conversation/markdown_inline.js";

const MOST_CHARACTERS = 200_000;
const MOST_DEEP = 6;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]{0,30})[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])( *\1){2,} *$/;
const QUOTE = /^ {0,3}> ?/;
const BULLET = /^( {0,8})([-*+]|\d{1,9}[.)])\s+(.*)$/;
const TABLE_RULE = /^ {0,3}\|?( *:?-+:? *\|)+( *:?-+:? *)?$/;
const HEADINGS = "h1, h2, h3, h4, h5, h6";
// The page's own headings.
const N_LEVELS_ABOVE = 2;

/**
 * @param {string} text - Markdown from a language model: anything at all; it may break off anywhere
 * @returns {DocumentFragment}
 */
export function renderMarkdown(text) {
  const fragment = renderBlocks(text.slice(0, MOST_CHARACTERS).split(/\r\n?|\n/), 0);
  // No person reads on; what a model repeats for ever must not stop the page.
  levelHeadings(fragment);
  if (text.length > MOST_CHARACTERS) fragment.append(create("p", "", text.slice(MOST_CHARACTERS)));
  return fragment;
}

function renderBlocks(lines, depth) {
  const fragment = document.createDocumentFragment();
  let at = 0;
  while (at < lines.length) {
    const [element, next] = renderBlock(lines, at, depth);
    if (element !== null) fragment.append(element);
    at = next;
  }
  return fragment;
}

/** @returns {[HTMLElement | null, number]} one block, and the line after it */
function renderBlock(lines, at, depth) {
  const line = lines[at];
  if (line.trim() === "") return [null, at + 1];
  if (FENCE.test(line)) return renderCode(lines, at);
  if (HEADING.test(line)) return [renderHeading(line), at + 1];
  if (RULE.test(line)) return [create("hr"), at + 1];
  if (QUOTE.test(line) && depth < MOST_DEEP) return renderQuote(lines, at, depth);
  if (BULLET.test(line) && depth < MOST_DEEP) return renderList(lines, at, depth);
  if (beginsTable(lines, at)) return renderTable(lines, at);
  return renderParagraph(lines, at, depth);
}

function renderHeading(line) {
  const [, signs, text] = HEADING.exec(line);
  const element = create(`h${signs.length}`);
  element.append(renderInline(text));
  return element;
}

/** Below the page's own headings, without a gap: a screen reader's user walks from one to the next. */
function levelHeadings(fragment) {
  let level = 0;
  for (const written of fragment.querySelectorAll(HEADINGS)) {
    level = Math.min(Number(written.localName[1]), level + 1);
    const element = create(`h${Math.min(6, level + N_LEVELS_ABOVE)}`);
    element.append(...written.childNodes);
    written.replaceWith(element);
  }
}

function renderCode(lines, at) {
  const [, fence, language] = FENCE.exec(lines[at]);
  const closes = new RegExp(`^ {0,3}${fence[0]}{${fence.length},}\\s*$`);
  const length = lines.slice(at + 1).findIndex((line) => closes.test(line));
  // A fence that is still open holds everything so far.
  const end = length < 0 ? lines.length : at + 1 + length;
  const code = lines.slice(at + 1, end).join("\n");
  const block = create("div", "code");
  const pre = create("pre");
  pre.tabIndex = 0;
  pre.append(create("code", "", code));
  block.append(create("span", "language", language || "code"), copyButton(code), pre);
  return [block, end + 1];
}

function renderQuote(lines, at, depth) {
  const end = endOf(lines, at, (line) => QUOTE.test(line));
  const quote = create("blockquote");
  quote.append(renderBlocks(lines.slice(at, end).map((line) => line.replace(QUOTE, "")), depth + 1));
  return [quote, end];
}

function renderList(lines, at, depth) {
  const [, indent, sign] = BULLET.exec(lines[at]);
  const isOrdered = /\d/.test(sign);
  const list = create(isOrdered ? "ol" : "ul");
  if (isOrdered) list.start = parseInt(sign, 10);
  let next = at;
  while (next < lines.length) {
    const match = BULLET.exec(lines[next]);
    if (match === null || match[1].length !== indent.length || /\d/.test(match[2]) !== isOrdered) break;
    // What is indented further belongs to this point.
    const isInside = (line) => line.trim() !== "" && line.length - line.trimStart().length > indent.length;
    const end = endOf(lines, next + 1, isInside);
    const inner = lines.slice(next + 1, end);
    const point = create("li");
    point.append(renderInline(match[3]), renderBlocks(dedent(inner), depth + 1));
    list.append(point);
    next = skipBlank(lines, end);
  }
  return [list, next];
}

function beginsTable(lines, at) {
  return lines[at].includes("|") && TABLE_RULE.test(lines[at + 1] ?? "");
}

function renderTable(lines, at) {
  const end = endOf(lines, at + 2, (line) => line.includes("|"));
  const table = create("table");
  table.createTHead().append(renderRow(lines[at], "th"));
  table.createTBody().append(...lines.slice(at + 2, end).map((line) => renderRow(line, "td")));
  const frame = create("div", "table");
  frame.tabIndex = 0;
  frame.append(table);
  return [frame, end];
}

function renderRow(line, tag) {
  const row = create("tr");
  const cells = line.trim().replace(/^\||(?<!\\)\|$/g, "").split(/(?<!\\)\|/);
  row.append(...cells.map((text) => {
    const cell = create(tag);
    cell.append(renderInline(text.trim()));
    return cell;
  }));
  return row;
}

function renderParagraph(lines, at, depth) {
  const isText = (line, n) =>
    line.trim() !== "" && !beginsTable(lines, n) && !FENCE.test(line) && !HEADING.test(line) && !RULE.test(line) &&
    (depth >= MOST_DEEP || (!QUOTE.test(line) && !BULLET.test(line)));
  const end = Math.max(at + 1, endOf(lines, at, isText));
  const element = create("p");
  lines.slice(at, end).forEach((line, n) => {
    if (n > 0) element.append(/ {2}$|\\$/.test(lines[at + n - 1]) ? create("br") : " ");
    element.append(renderInline(line.trim().replace(/\\$/, "")));
  });
  return [element, end];
}

function endOf(lines, at, isInside) {
  let end = at;
  while (end < lines.length && isInside(lines[end], end)) end += 1;
  return end;
}

/** Past blank lines, if the list goes on after them. */
function skipBlank(lines, at) {
  const next = endOf(lines, at, (line) => line.trim() === "");
  return next < lines.length && BULLET.test(lines[next]) ? next : at;
}

function dedent(lines) {
  const indents = lines.map((line) => line.length - line.trimStart().length);
  const least = Math.min(...indents);
  return lines.map((line) => line.slice(least));
}
