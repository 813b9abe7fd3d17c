"""Markdown and HTML markup taken off a line of text.

In:  one raw line of a language model's answer.   Out: its words, still with symbols, digits and addresses.

Every rule looks only a bounded number of characters around, so that a text cut at a clause end gives the same
words as the whole text, and so that no input costs more than linear time.
"""

import html
import re

from processors.text.language_pack import Pack
from processors.text.spoken_math import latex_to_text, say_formula
from processors.text.spoken_ordinals import names_its_number

_FENCE_BEGINNINGS = ("`", "``", "~", "~~")
_FENCE_LINE_MAX_CHARS = 400
_FENCE = re.compile(r"(`{3,}|~{3,})([^\n]*)")

# HTML and SSML that language models write; other words in angle brackets are kept as words.
_TAG_NAMES = (
    "a abbr article aside audio b bdi bdo big blockquote body br break button caption center cite code col dd del "
    "details dfn div dl dt em emphasis figcaption figure font footer form h1 h2 h3 h4 h5 h6 head header hr html i "
    "iframe img input ins kbd label li link main mark meta nav ol option p pre prosody q s samp say-as script "
    "section select small source span speak strike strong style sub summary sup svg table tbody td tfoot th thead "
    "time title tr tt u ul var video voice wbr"
).split()
_LINK = (
    r"!?\[(?P<label>[^\[\]\n]{0,300}+)\]"
    r"(?:\((?P<url>\s?<?[^\s()]{0,2000}+(?:\([^\s()]{0,200}+\)[^\s()]{0,200}+){0,3}>?)"
    r"(?:\s{1,3}[\"'(][^\"'\n]{0,200}[\"')])?\s?\)|\[[^\[\]\n]{0,100}+\])"
)
# What may stand between two dollar signs of mathematics: no word of three letters but in a command or a function.
_FORMULA = (
    r"(?:\\(?:text|mathrm|mathbf|textbf|operatorname|mbox)\s?\{[^{}$\n]{0,100}\}|\\[A-Za-z]{1,20}|\\[^A-Za-z\n]"
    r"|[^$\n\\A-Za-z`]|(?<![A-Za-z])(?:[A-Za-z]{1,2}|sin|cos|tan|log|exp|lim|max|min|mod|gcd)(?![A-Za-z]))"
)
# After a price comes anything but an operator.
_FORMULA_HEAD = r"(?=[^\s$0-9]|[0-9][0-9.,]{0,20}(?:\s?[\\^_=+*<>/−-]|[A-Za-z($]))"
_INLINE = re.compile(
    r"(?<!`)(?P<ticks>`{1,8})(?P<code>[^`\n]{1,300})(?P=ticks)(?!`)"
    rf"|{_LINK}"
    rf"|(?<!\\)\$\$(?P<display>[^$\n]{{1,400}})\$\$|(?<!\\)\$(?P<math>{_FORMULA_HEAD}{_FORMULA}{{1,300}}(?<!\s))\$(?!\d)"
    r"|\\\((?P<round>[^\n]{1,300}?)\\\)|\\\[(?P<square>[^\n]{1,300}?)\\\]"
    r"|(?P<comment><!--[^\n]{0,300}?-->)"
    rf"|(?P<tag></?(?:{'|'.join(_TAG_NAMES)})(?:\s[^<>\n]{{0,300}})?\s?/?>)",
    re.IGNORECASE,
)
_OPENER = re.compile(r"[`\[<$\\]")
_OUTER_LINK = re.compile(_LINK)
_WAIT_MAX_CHARS = {"`": 320, "[": 2800, "$": 300, "<": 320, "\\": 320}
_LINK_TAIL = re.compile(r"\s?\S{0,2000}+(?:\s{1,3}(?:[\"'(][^\"'\n]{0,200}[\"')]?\s?)?)?\Z")
_MATH_HEAD = re.compile(
    rf"(?<!\\)\$(?:\$[^$\n]{{0,400}}\$?\Z|\Z|[0-9][0-9.,]{{0,20}}\s?\Z|{_FORMULA_HEAD}{_FORMULA}{{0,300}}"
    r"(?:\\[A-Za-z]{0,20}\s?(?:\{[^{}$\n]{0,100})?|[A-Za-z]{1,3})?\Z)"
)
_TAG_HEAD = re.compile(r"</?([A-Za-z][A-Za-z0-9-]*)(.?)|</?\Z|<!(?:-(?:-.*)?)?\Z", re.DOTALL)

_QUOTE_OR_HEADING = re.compile(r"\A\s*(?:>(?!=|[0-9]|\s[0-9][0-9.,]*\s?\S{0,8}\Z)\s?|#{1,6}(?:\s+|\Z))*")
_LIST_MARK = re.compile(r"(?:[-*+•◦▪‣·–]|(?P<number>[0-9]{1,3})[.)])\s+(?:\[[ xX]\]\s+)?")
_ORDINAL_FOLLOWS = re.compile(r"(?:(?:und|oder|bis|[-–]) )[0-9]{1,3}\. [^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+")
_BOLD_NUMBER = re.compile(r"\A[*_]{1,3}(?=[0-9]{1,3}[.)]\s)")
_FOOTNOTE = re.compile(r"\[(?:\^[0-9A-Za-z]{1,10}|[0-9]{1,3})\](?!\()")
_AUTOLINK = re.compile(r"<((?:[a-z]{2,6}:|[\w.+-]{1,64}@)[^<>\s]{1,2000})>")
_CODE_MARKS = re.compile(r"[_\[\](){}<>\"'\\|~^#;,!?$&@*]+")
_ENTITY = re.compile(r"&(?:amp;)*(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8}[0-9]{0,2});")

_COMMAND = re.compile(r"\\[A-Za-z]{2,}")
_ESCAPE = re.compile(r"\\([^\w\s]?)")
# Before the marks of code are dropped: full-width signs stand for the operators.
_CODE_OPERATORS = (
    ("!==", " ≠ "), ("===", " = "), ("!=", " ≠ "), ("<=", " ≤ "), (">=", " ≥ "), ("=>", " → "), ("->", " → "),
    ("&&", " ∧ "), ("||", " ∨ "), (" < ", " ＜ "), (" > ", " ＞ "), (" * ", " × "),
)  # fmt: skip
_PRODUCT = re.compile(r"(?<=[0-9)])\s?\*\s?(?=[0-9(])|(?<=\b[a-zA-Z])\s\*\s(?=[a-zA-Z]\b)")
_PYTHON_POWER = re.compile(r"(?<=[0-9])\*\*(?=-?[0-9])")
_WORD_UNDERSCORE = re.compile(r"(?<=[^\W_])_+(?=[^\W_])")


def fence_mark(text: str, start: int = 0, final: bool = True) -> str | None:
    """Judge whether a fenced code block opens where a line's content starts.

    Args:
        text: Text, perhaps still growing.
        start: Index of the first character of a line that is not a space.
        final: No text will follow.

    Returns:
        The run of backticks or tildes that opens the block; "" if none does; None if more text is needed to say.
    """
    match = _FENCE.match(text, start, start + _FENCE_LINE_MAX_CHARS)
    if match is None:
        return None if not final and text[start:] in _FENCE_BEGINNINGS else ""
    if match[1][0] == "`" and "`" in match[2]:
        return ""
    if match.end() - start >= _FENCE_LINE_MAX_CHARS:
        return ""
    return match[1] if final or match.end() < len(text) else None


def closes_fence(line: str, mark: str) -> bool:
    """Judge whether a line ends the code block that `mark` opened."""
    line = line.strip()
    return len(line) >= len(mark) and line == mark[0] * len(line)


def inline_end(text: str, start: int, final: bool) -> int | None:
    """Find the end of a code span, link, image, formula, comment or tag.

    Args:
        text: Text, perhaps still growing.
        start: Index of a backtick, `[`, `$`, `<` or a backslash.
        final: No text will follow.

    Returns:
        Index behind the construct; `start` if none starts there; None if more text is needed to say.
    """
    match = _INLINE.match(text, start)
    if match is not None:
        return match.end() if final or match.end() < len(text) else None
    if final or len(text) - start > _WAIT_MAX_CHARS[text[start]] or text.find("\n", start) >= 0:
        return start
    return None if _may_become_inline(text, start) else start


def _may_become_inline(text: str, start: int) -> bool:
    opener = text[start]
    if opener == "[":
        label_end = min((i for i in (text.find("[", start + 1), text.find("]", start)) if i >= 0), default=-1)
        if label_end < 0 or text[label_end] == "[":
            return label_end < 0
        tail = text[label_end + 1 :]
        return not tail or (tail[0] == "(" and _LINK_TAIL.match(tail, 1) is not None) or tail[0] == "["
    if opener == "$":
        return _MATH_HEAD.match(text, start) is not None
    if opener == "\\":
        return text[start + 1 : start + 2] in ("", "(", "[")
    if opener == "<":
        head = _TAG_HEAD.match(text, start)
        return head is not None and (not head[1] or not head[2] or head[1].lower() in _TAG_NAMES)
    return start == 0 or text[start - 1] != "`"


def strip_line_marks(line: str, pack: Pack) -> str:
    """Take list, quote, heading and table marks off a line; a list number stays, as `1: `.

    A horizontal rule, the rule of a table and a line without a letter or digit become empty.
    """
    line = line.strip()
    if not any(char.isalnum() for char in line):
        return ""
    line = _QUOTE_OR_HEADING.sub("", line)
    line = _BOLD_NUMBER.sub("", line)
    number = ""
    while (mark := _LIST_MARK.match(line)) is not None:
        if mark["number"] and pack.ordinal_dot and _names_a_number(line, mark, pack):
            break
        number = mark["number"] or number
        line = line[mark.end() :]
    line = _QUOTE_OR_HEADING.sub("", line)
    return f"{number}: {line}" if number else line


def _names_a_number(line: str, mark: re.Match[str], pack: Pack) -> bool:
    """Whether `1.` is an ordinal and no mark of a list: `1. Platz`, `1. und 2. Klasse`, in Polish `1. miejsce`."""
    rest = line[mark.end() :]
    if _ORDINAL_FOLLOWS.match(rest) or (pack.language != "de" and rest[:1].islower()):
        return True
    return names_its_number(_first_word(rest), pack)


def _first_word(text: str) -> str:
    word = _WORD.match(text)
    return word[0] if word else ""


def strip_inline_marks(line: str, pack: Pack) -> str:
    """Take code spans, links, images, tags, formulas, entities and emphasis off a line."""
    if _OPENER.search(line):
        line = _INLINE.sub(lambda match: _words_of_inline(match, pack), line)
        line = _OUTER_LINK.sub(lambda match: _words_of_inline(match, pack), line)
        line = _AUTOLINK.sub(r"\1", _FOOTNOTE.sub("", line))
    if "&" in line:
        line = _ENTITY.sub(lambda match: html.unescape(f"&{match[1]};"), line)
    if "\\" in line:
        line = latex_to_text(line, pack) if _COMMAND.search(line) else _ESCAPE.sub(r"\1", line)
    if "*" in line:
        line = _PYTHON_POWER.sub("^", line)
        line = _PRODUCT.sub(" × ", line)
    if "_" in line:
        line = _WORD_UNDERSCORE.sub(" ", line)
    if line.startswith("|") or line.rstrip().endswith("|"):
        line = line.strip(" |")
    return line.replace("|", ", ").translate({ord(char): None for char in "*_`"}).replace("~~", "")


def _words_of_inline(match: re.Match[str], pack: Pack) -> str:
    groups = match.groupdict()
    if groups.get("code"):
        code = groups["code"]
        for operator, sign in _CODE_OPERATORS:
            code = code.replace(operator, sign)
        return _CODE_MARKS.sub(" ", code)
    if formula := groups.get("math") or groups.get("display") or groups.get("round") or groups.get("square"):
        return say_formula(formula, pack)
    if groups.get("comment") or groups.get("tag"):
        return " "
    return groups["label"].strip() or (groups["url"] or "").strip(" <>")
