"""What stays in one piece when a growing text is cut: ordinals, dates, abbreviations, names, amounts.

In:  text and a place between two of its words.   Out: whether the place parts what belongs together; None: the text
must grow before that can be said. A look at a bounded number of characters, so that cutting stays linear.
"""

import re
import unicodedata
from functools import lru_cache

from processors.text import cldr
from processors.text.language_pack import Pack
from processors.text.markdown_stripper import inline_end
from processors.text.spoken_addresses import address_end
from processors.text.spoken_ordinals import is_dotted_ordinal
from processors.text.spoken_words import NAME_GOES_ON, ends_behind_abbreviation

_TOKEN_MAX_CHARS = 24
_ORDINAL = re.compile(r"(?:[0-9]{1,2}\.[-–]?)?[0-9]{1,3}\.\Z")
_TO_ORDINAL = re.compile(r"[-–] ?[0-9]")
_LAST_TOKEN = re.compile(r"\S*\Z")
_WORD = re.compile(r"[^\W\d_]{1,40}")
_PLAIN_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*\Z")
_SIGNS = frozenset("$€£¥₹%°+=<>≤≥^\\/@#&")
_BEFORE_NUMBERS = frozenset("ext. tel. approx. ca. pp. rs. fig. vol. ch. eq. sec.".split())


def goes_on(text: str, end: int, start: int, final: bool, pack: Pack) -> bool | None:
    """Judge whether a sentence goes on behind the dot of an ordinal or an abbreviation of the language.

    Args:
        text: The text, perhaps still growing.
        end: Index behind the dot.
        start: Index of the next word's first character.
        final: No text will follow.
        pack: The language.

    Returns:
        True: no sentence ends there. False: the language says nothing about it. None: more text is needed.
    """
    last = _LAST_TOKEN.search(text[max(0, end - _TOKEN_MAX_CHARS) : end])
    token = last[0].lstrip("\"'“‘«([{*_~`") if last else ""
    if pack.ordinal_dot and _ORDINAL.match(token):
        if _TO_ORDINAL.match(text, start):
            return True
        word = _WORD.match(text, start)
        if word is None:
            waits = text[start : start + 1] in ("-", "–") and len(text) < start + 3 and not final
            return None if waits else False
        if word.end() == len(text) and not final:
            return None
        before = text[max(0, end - len(token) - _TOKEN_MAX_CHARS) : end - len(token)].rstrip().rpartition(" ")[2]
        return is_dotted_ordinal(before, word[0], pack)
    if token in pack.magnitudes or token in pack.units or token in pack.money:
        return _before_what_is_counted(text, start, final, pack)
    if token in pack.titles:
        return True
    if text[start : start + 1].isdecimal():
        name = token.lower()
        is_month = pack.is_known and name.rstrip(".") in cldr.month_names(pack.locale)
        if is_month or name in _BEFORE_NUMBERS or token in pack.before_numbers or name in pack.before_numbers:
            return True
    return _in_abbreviation(text, end, token, final, pack)


def _before_what_is_counted(text: str, start: int, final: bool, pack: Pack) -> bool | None:
    """Whether a currency or a noun follows a word such as `Mio.`."""
    word = _WORD.match(text, start)
    if word is None:
        return not text[start : start + 1].isdecimal()
    if word.end() == len(text) and not final:
        return None
    return pack.ordinal_dot and word[0] not in pack.sentence_starters


@lru_cache(maxsize=64)
def _spaced_abbreviations(pack: Pack) -> tuple[str, ...]:
    return tuple(name for name in pack.abbreviations if " " in name and name.endswith("."))


def _in_abbreviation(text: str, end: int, token: str, final: bool, pack: Pack) -> bool | None:
    """Whether the dot is inside an abbreviation, `EE. UU.`, or in German before a noun: `ca. Hundert`."""
    begin = end - len(token)
    for name in pack.abbreviations:
        if not name.startswith(token + " "):
            continue
        if text.startswith(name, begin):
            return True
        if not final and name.startswith(text[begin:]):
            return None
    if token not in pack.abbreviations and not text[:end].endswith(_spaced_abbreviations(pack)):
        return False
    if not ends_behind_abbreviation(text, end):
        return True
    word = _WORD.match(text, end + 1)
    if not pack.ordinal_dot:
        if word and word.end() == len(text) and not final:
            return None
        return bool(word) and word[0] in NAME_GOES_ON
    return word is None or word[0] not in pack.sentence_starters


def may_part(text: str, end: int, start: int) -> bool:
    """Judge whether a piece that grew too long may end between two words.

    Not next to a number or a sign, for what is around it may be said as one, and not between two words with
    capitals, for they may be a name.
    """
    left = text[max(0, end - _TOKEN_MAX_CHARS * 2) : end].split()[-3:]
    right = text[start : start + _TOKEN_MAX_CHARS].split()[:1]
    if not left or not right or not _PLAIN_WORD.match(left[-1]):
        return False
    if any(char.isdecimal() or char in _SIGNS for word in left for char in word):
        return False
    first = right[0]
    if not first[0].isalpha() or (first[0].isupper() and (len(text) == start + 1 or first[:2].isupper())):
        return False
    return not (left[-1][0].isupper() and first[0].isupper())


_MAY_BE_WHOLE = re.compile(r"[`\[<$\\]|://|www\.", re.IGNORECASE)
_JOINERS = "\u200c\u200d"
_MARKS_MAX = 8


def end_of_endless(text: str, end: int, start: int, final: bool) -> int | None:
    """Where a word that is too long may be cut.

    Args:
        text: The text, perhaps still growing.
        end: Index at which it is too long.
        start: Index of its first character.
        final: No text will follow.

    Returns:
        `end`; or where the web address, link or code that stands there ends; None if the text must grow first.
    """
    cut = end
    for match in _MAY_BE_WHOLE.finditer(text, start, end):
        if text[match.start()] in "`[<$\\":
            behind = inline_end(text, match.start(), final)
        else:
            behind = address_end(text, match.start(), start)
            behind = None if behind == len(text) and not final else behind
        if behind is None or behind > end:
            return behind
    while end < len(text) and (unicodedata.combining(text[end]) or text[end] in _JOINERS) and end < cut + _MARKS_MAX:
        end += 1
    return None if end == len(text) and not final else end
