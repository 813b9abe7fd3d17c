"""Where a text may be cut for speech: sentence ends, clause ends, word ends.

In:  text, whole or still growing.   Out: boundaries in order, or the text cut into short pieces.

The one notion of a clause in the house: the token stream of the language model and the engines that need
short inputs are both cut here.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

# Never the end of a sentence: a name goes on.
_TITLES = frozenset(
    "mr mrs ms mx dr prof rev hon gen col sgt capt lt cmdr gov sen rep st mt e.g i.e cf vs viz approx "
    "z.b d.h u.a bzw fr hr sra srta mme mlle".split()
)
# Not the end of a sentence when a number follows.
_BEFORE_NUMBERS = frozenset("no nos nr vol fig eq ch p pp art jan feb mar apr jun jul aug sep sept oct nov dec".split())
# The end of a sentence only when a capital follows.
_TAILS = frozenset(
    "etc al a.m p.m inc ltd corp co jr sr u.s u.s.a u.k u.n e.u ph.d b.a m.a usw bros dept est ave blvd".split()
)
_ENDERS = ".!?…。！？｡．؟।"
_PAUSES = ",;:，；：、،؛"
_CLOSERS = "\"'”’»)]}*_~`」』）》〉"
_OPENERS = "\"'“‘«([{*_~`「『（《¿¡"

_LAST_WORD = re.compile(r"[^\W\d_](?:\.?[^\W\d_])*\Z")
_LAST_WORD_MAX_CHARS = 12
_OPENERS_MAX = 4
_INITIAL = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]\Z")
_ENTITY = re.compile(r"&#?[A-Za-z0-9]{1,9};\Z")
_LIST_NUMBER = re.compile(r"[0-9]{1,3}[.)]\Z")
_LINE_MARKS = frozenset("-*+•>#")
_BREAK = re.compile(r"\s+|[。！？｡．]+|[，、；：]|—+")
_BREAK_OR_OPENER = re.compile(_BREAK.pattern + r"|[`\[<$\\]")

# Whether a sentence goes on behind a dot, by the text, the index behind it, that of the next word and whether the text
# is final; None: the text must grow first. See `unbroken.goes_on`.
GoesOn = Callable[[str, int, int, bool], bool | None]
# Where an indivisible stretch (a link, a code span) that starts at an index ends; None: the text must grow first.
Indivisible = Callable[[str, int, bool], int | None]


class Strength(IntEnum):
    """How natural a pause is at a boundary."""

    WORD = 1
    CLAUSE = 2
    SENTENCE = 3


@dataclass(frozen=True)
class Boundary:
    """A place where text may be cut.

    Attributes:
        end: Index behind the last character of the left part.
        start: Index of the first character of the right part; only whitespace lies between.
        strength: How natural the pause is.
    """

    end: int
    start: int
    strength: Strength


def find_boundaries(
    text: str,
    final: bool = True,
    at_line_start: bool = False,
    indivisible: Indivisible | None = None,
    goes_on: GoesOn | None = None,
) -> Iterator[Boundary | int]:
    """Find the boundaries of a text from left to right, in linear time.

    A boundary is reported only when no text that may follow can change it, so the same boundaries come out
    however the text grows.

    Args:
        text: Any text.
        final: No text will follow. If not, a place at the very end is not judged yet.
        at_line_start: The text begins a line of markdown, so that `1.` in front is the number of a list item.
        indivisible: Asked at each backtick, bracket, `<`, `$` and backslash; no boundary is inside what it spans.
        goes_on: Asked at each dot between two words; what the language knows about its abbreviations and ordinals.

    Yields:
        Boundaries, and at the very end one int: how far the text has been judged (its length when final).
    """
    pattern = _BREAK_OR_OPENER if indivisible else _BREAK
    position = token_start = 0
    while (match := pattern.search(text, position)) is not None:
        start, end = match.span()
        if indivisible and text[start] in "`[<$\\":
            span_end = indivisible(text, start, final)
            if span_end is None:
                yield start
                return
            position = max(span_end, start + 1)
            continue
        if end == len(text):
            break
        if not final and _behind_openers(text, end) == len(text):
            yield start
            return
        if not text[start].isspace():
            boundary = _boundary_in_token(text, start, end)
            if boundary is not None and boundary.start == len(text):
                break
            position = end if boundary is None else boundary.start
            if boundary is not None:
                token_start = position
                yield boundary
            continue
        marker = at_line_start and _is_line_marker(text[token_start:start])
        strength = Strength.WORD if marker else _strength_at_space(text, token_start, start, end)
        if goes_on and strength is Strength.SENTENCE and text[start - 1] == "." and "\n" not in text[start:end]:
            continues = goes_on(text, start, end, final)
            if continues is None:
                yield start
                return
            strength = Strength.WORD if continues else strength
        yield Boundary(start, end, strength)
        at_line_start = marker or "\n" in text[start:end]
        position = token_start = end
    yield len(text) if final else len(text.rstrip())


def split_clauses(text: str, first_max_chars: int, max_chars: int) -> list[str]:
    """Cut speakable text into pieces for an engine that wants short inputs.

    The pieces joined equal the text but for whitespace. A piece ends at the last sentence end within its limit,
    else at the last clause end, else at the last word end; a word longer than the limit stays whole.

    Args:
        text: Speakable text.
        first_max_chars: Limit of the first piece, in characters; short, so that sound starts early.
        max_chars: Limit of each further piece, in characters.

    Returns:
        Pieces without surrounding whitespace; none for blank text.

    Raises:
        ValueError: A limit is below 1; the message shows it.
    """
    for name, limit in (("first_max_chars", first_max_chars), ("max_chars", max_chars)):
        if limit < 1:
            raise ValueError(f"{name} must be at least 1, not {limit}")
    text = text.strip()
    boundaries = [b for b in find_boundaries(text) if isinstance(b, Boundary)]
    boundaries.append(Boundary(len(text), len(text), Strength.SENTENCE))
    pieces: list[str] = []
    start = index = 0
    while start < len(text):
        limit = max_chars if pieces else first_max_chars
        cut = _best_within(boundaries, index, start + limit)
        pieces.append(text[start : boundaries[cut].end])
        start, index = boundaries[cut].start, cut + 1
    return pieces


def _best_within(boundaries: list[Boundary], first: int, max_end: int) -> int:
    """Index of the strongest, then latest boundary up to `max_end`; the next one if none is."""
    best = first
    for index in range(first, len(boundaries)):
        if boundaries[index].end > max_end:
            return best
        if boundaries[index].strength >= boundaries[best].strength:
            best = index
    return len(boundaries) - 1


def _is_line_marker(token: str) -> bool:
    return not token or set(token) <= _LINE_MARKS or _LIST_NUMBER.match(token.lstrip("*_")) is not None


def _strength_at_space(text: str, token_start: int, start: int, end: int) -> Strength:
    following = text[end] if end < len(text) else ""
    line_breaks = text.count("\n", start, end)
    if line_breaks > 1 or (line_breaks == 1 and not following.islower()):
        return Strength.SENTENCE
    token = text[token_start:start].rstrip(_CLOSERS)
    is_shortcode = len(token) > 2 and token[0] == token[-1] == ":"
    if not token or is_shortcode or _ENTITY.search(token[-_LAST_WORD_MAX_CHARS:]):
        return Strength.WORD
    if token[-1] == "." and not token.endswith(".."):
        behind = _behind_openers(text, end)
        following = text[behind : behind + 1]
        return _strength_of_dot(token[-_LAST_WORD_MAX_CHARS - 1 : -1].lower(), following)
    if token[-1] in _ENDERS:
        return Strength.CLAUSE if following.islower() else Strength.SENTENCE
    return Strength.CLAUSE if token[-1] in _PAUSES or token[-1] == "—" else Strength.WORD


def _strength_of_dot(text_before: str, following: str) -> Strength:
    if following.islower():
        return Strength.WORD
    match = _LAST_WORD.search(text_before)
    word = match[0] if match else ""
    if word in _TAILS:
        return Strength.SENTENCE if following.isupper() else Strength.WORD
    if word in _TITLES or (word in _BEFORE_NUMBERS and following.isdecimal()):
        return Strength.WORD
    return Strength.WORD if _INITIAL.match(word) and word != "i" else Strength.SENTENCE


def _behind_openers(text: str, start: int) -> int:
    """Index of the first character from `start` on that is no opening quote or bracket; four are looked at."""
    end = start
    while end < len(text) and end < start + _OPENERS_MAX and text[end] in _OPENERS:
        end += 1
    return end


def _boundary_in_token(text: str, start: int, end: int) -> Boundary | None:
    """Boundary behind punctuation that needs no space after it: the Chinese and Japanese marks, the dash."""
    strength = Strength.SENTENCE if text[start] in _ENDERS else Strength.CLAUSE
    while end < len(text) and text[end] in _CLOSERS:
        end += 1
    if end < len(text) and (text[end].isspace() or text[end] in _ENDERS + _PAUSES):
        return None
    return Boundary(end, end, strength)
