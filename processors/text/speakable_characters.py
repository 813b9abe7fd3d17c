"""Which characters a voice is handed, and how its punctuation is kept in order.

In:  any characters a language model may write.   Out: letters, digits and the punctuation that voices understand.
"""

import re
import unicodedata
from functools import lru_cache

_LINE_BREAKS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_JOINERS = "\u200c\u200d"
_DROPPED_CATEGORIES = ("Cc", "Cf", "Co", "Cs", "Cn")
_EMOJI_MARKS = "\ufe0e\ufe0f\u20e3"

# Letters and digits in disguise: mathematical bold, full width, circled, squared units, ligatures, subscripts.
_DISGUISED = re.compile(
    "[\U0001d400-\U0001d7ff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\u2460-\u2473\u3380-\u33df\ufb00-\ufb06"
    "\u2080-\u2089\u2103\u2109\u2126]"
)
_KEYCAP = re.compile("[0-9#*]\ufe0f?\u20e3")
_VULGAR_FRACTIONS = dict(zip("½⅓⅔¼¾⅕⅛⅜⅝⅞", "1/2 1/3 2/3 1/4 3/4 1/5 1/8 3/8 5/8 7/8".split(), strict=True))
_VULGAR = re.compile(f"(?:(?<=[0-9]) ?)?([{''.join(_VULGAR_FRACTIONS)}])")
_TYPOGRAPHY = str.maketrans({
    "‘": "'", "’": "'", "‚": "'", "‹": "'", "›": "'", "′": "'", "“": '"', "”": '"', "„": '"',
    "″": '"', "‐": "-", "‑": "-", "‒": "–", "―": "—", "⟶": "→", "⇒": "→", "➜": "→", "➔": "→", "➡": "→",
    "↦": "→", "∼": "~", "⋅": "×", "∗": "*",
})  # fmt: skip
_GUILLEMETS = re.compile(r"«\s?|\s?»")
_GROUPING_SPACE = re.compile("(?<=[0-9])[\u00a0\u202f\u2009\u2007](?=[0-9]{3}(?![0-9]))")

_KEPT_MARKS = frozenset(".,;:!?'\"()-…。，、；：！？「」『』《》〈〉·¿¡،؛؟।॥" + _JOINERS)
_KEPT_SIGNS = frozenset("%€$£¥°+=&@/")
_LOOSE_JOINER = re.compile(f"(?<![\u0600-\u0dff])[{_JOINERS}]|[{_JOINERS}](?![\u0600-\u0dff])")
_SPACED_DASH = re.compile(r" (?:–|-{1,3}) | ?—+ ?")
_LOOSE_HYPHEN = re.compile(r"(?<![^\W_])-+(?![0-9])|-+(?![^\W_])")
_LOOSE_APOSTROPHE = re.compile(r"(?<!\w)'+(?!\w)")
_EMPTY_PAIR = re.compile(r"\( ?\)|\" ?\"")
_SPACE_BEFORE_MARK = re.compile(r" (?=[.,;:!?…)])")
_SPACE_AFTER_OPENER = re.compile(r"(?<=[(¿¡]) ")
_DOTS = re.compile(r"\.{2,}|…[.…]*")
_MARK_RUN = re.compile(r"([.,;:!?…]+)(?: +[.,;:!?…]+)*")
_LEADING_MARKS = re.compile(r"(?:[ .,;:!?…)。，、；：！？،؛]|-(?![0-9]))+")

_LOOSE_ENDS = " \"'("


class _KeptCharacters(dict[int, str | None]):
    """A translation table that fills itself: what no voice can say becomes a space."""

    def __init__(self, kept: frozenset[str]) -> None:
        super().__init__()
        self._kept = kept

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        kept: str | None = " "
        if char in self._kept or char.isalnum() or unicodedata.category(char)[0] == "M":
            kept = char
        if char in _EMOJI_MARKS:
            kept = None
        self[code] = kept
        return kept


class _VisibleCharacters(dict[int, str | None]):
    """A translation table that fills itself: control, direction, private and unassigned characters vanish."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        visible: str | None = char
        if char in _LINE_BREAKS:
            visible = "\n"
        elif char not in "\n\t" + _JOINERS and unicodedata.category(char) in _DROPPED_CATEGORIES:
            visible = None
        self[code] = visible
        return visible


_VISIBLE = _VisibleCharacters()
_KEPT_WITH_SIGNS = _KeptCharacters(_KEPT_MARKS | _KEPT_SIGNS)


@lru_cache(maxsize=64)
def _kept_with(signs: frozenset[str]) -> _KeptCharacters:
    return _KeptCharacters(_KEPT_MARKS | signs)


def drop_invisible(text: str) -> str:
    """Drop control and direction characters and make every line break `\\n`; works on any part of a text alone."""
    return text.translate(_VISIBLE)


def unify_characters(line: str) -> str:
    """Write typographic quotes and dashes, disguised letters, keycaps and vulgar fractions in one plain way."""
    line = _GROUPING_SPACE.sub("'", line)
    line = _GUILLEMETS.sub('"', _KEYCAP.sub("", line))
    line = _VULGAR.sub(lambda match: f" {_VULGAR_FRACTIONS[match[1]]}", line)
    line = _DISGUISED.sub(lambda match: unicodedata.normalize("NFKC", match[0]), line)
    return " ".join(line.translate(_TYPOGRAPHY).split())


def keep_speakable(text: str, keep_signs: bool, unknown_signs: frozenset[str] = frozenset()) -> str:
    """Turn everything but letters, marks, digits and spoken punctuation into spaces, and put that in order.

    Args:
        text: Text on one line.
        keep_signs: Keep `%`, `°` and currency signs too, for voices that read them.
        unknown_signs: Signs that the language has no words for; they are kept, too.

    Returns:
        Text with single spaces, no space before a mark, no run of marks; empty if nothing in it can be said.
    """
    text = text.replace("−", "-").translate(_KEPT_WITH_SIGNS if keep_signs else _kept_with(unknown_signs))
    text = " ".join(_LOOSE_JOINER.sub("", text).split())
    text = _LOOSE_APOSTROPHE.sub("", _LOOSE_HYPHEN.sub(" ", text))
    return tidy_marks(text)


def speak_dashes(text: str) -> str:
    """Make dashes between words commas, and those inside a pair of words hyphens."""
    return _SPACED_DASH.sub(", ", " ".join(text.split())).replace("–", "-")


def tidy_marks(text: str) -> str:
    """Put spaces and punctuation in order: of a run of marks the strongest of the first group stays."""
    text = " ".join(_EMPTY_PAIR.sub(" ", text).split())
    text = _SPACE_AFTER_OPENER.sub("", text)
    text = _MARK_RUN.sub(_strongest_mark, _DOTS.sub("…", text))
    text = _SPACE_BEFORE_MARK.sub("", text).strip()
    text = text[leading.end() :] if (leading := _LEADING_MARKS.match(text)) else text
    kept = text.rstrip(_LOOSE_ENDS)
    text = kept + text[len(kept) :].partition(" ")[0].replace("(", "")
    return text if any(char.isalnum() for char in text) else ""


def _strongest_mark(match: re.Match[str]) -> str:
    return next(mark for mark in "?!….:;," if mark in match[1])
