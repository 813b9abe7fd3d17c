"""Ordinals: `3rd`, `am 3. Mai`, `1er`, `2ª`, and decades.

In:  a line and the index of a digit.   Out: the stretch that is an ordinal, in words.
"""

import re
from functools import lru_cache

from processors.text import cldr
from processors.text.found import Found
from processors.text.language_pack import Pack
from processors.text.spoken_numbers import END, cardinal, ordinal, year

_ENGLISH = re.compile(r"([0-9]{1,3}(?:,[0-9]{3}){1,4}|[0-9]{1,15})(?:st|nd|rd|th)\b")
_DECADE = re.compile(r"([12][0-9]{2}0)'?s\b|([1-9]0)'?s\b")
_DECADE_MARK = re.compile(r"(?:\b[Tt]he |\b[Tt]he '|(?<!\w)'|\b(?:[Ee]arly|[Ll]ate|[Mm]id)[ -])\Z")
_DOTTED = re.compile(r"(?P<number>[0-9]{1,3})\. (?P<noun>[^\W\d_]+)")
# `1. und 2. Klasse`, `3.–5. Mai`: what joins an ordinal to the next one.
_JOINED = re.compile(
    r"(?P<number>[0-9]{1,3})\.(?P<joint> ?[-–] ?| (?:und|oder|bis)(?: (?:zum|der|die|das|den|dem))? )"
    r"(?=[0-9]{1,3}\. (?P<noun>[^\W\d_]+))"
)
_DATE_JOINED = re.compile(r"([0-9]{1,2})\. ?[-–] ?(?=[0-9]{1,2}\.([0-9]{1,2})\.)")
_DIGITS_MARK = re.compile(r"(?P<number>[0-9]{1,4})(?P<mark>\.?[ºª°]|\.?[^\W\d_]{1,4})")
_WORDS_BEFORE = re.compile(r"(?:([^\W\d_]+) )?([^\W\d_]+),? \Z")


def find_ordinal(line: str, floor: int, digit: int, pack: Pack) -> Found | None:
    """Find the ordinal that begins at a digit."""
    before = line[digit - 1 : digit]
    joins = digit == floor and line[digit - 2 : digit] == ".-"
    if before and (before in "._,:/-" or before.isalnum()) and ord(before) < 0x2E80 and not (pack.is_english or joins):
        return None
    if pack.is_english:
        return _english(line, floor, digit, pack)
    if (
        pack.ordinals
        and (match := _DOTTED.match(line, digit))
        and is_dotted_ordinal(line[max(0, digit - 24) : digit].rstrip().rpartition(" ")[2], match["noun"], pack)
    ):
        words = inflected(line, digit, int(match["number"]), match["noun"], pack)
        return Found(digit, match.start("noun") - 1, words) if words else None
    if pack.ordinals and (match := _DATE_JOINED.match(line, digit)) and 1 <= int(match[2]) <= 12:
        words = inflected(line, digit, int(match[1]), cldr.month_name(pack.locale, int(match[2])), pack)
        return Found(digit, match.end(), f"{words} {pack.words['to']} ") if words else None
    if pack.ordinals and (match := _JOINED.match(line, digit)):
        words = inflected(line, digit, int(match["number"]), match["noun"], pack)
        if words and match["noun"] not in pack.sentence_starters:
            joint = match["joint"] if match["joint"].strip() not in "-–" else f" {pack.words['to']} "
            return Found(digit, match.end(), words + joint) if match["joint"].strip() else None
    if pack.ordinal_marks and (match := _DIGITS_MARK.match(line, digit)):
        words = with_mark(int(match["number"]), match["mark"], pack)
        if words and re.compile(END).match(line, match.end()) is not None:
            return Found(digit, match.end(), words)
    return None


def is_dotted_ordinal(before: str, noun: str, pack: Pack) -> bool:
    """Whether a number with a dot is an ordinal before a word, and not the end of a sentence.

    Args:
        before: The word before the number; behind `Nummer` or `Seite` no ordinal stands.
        noun: The word behind it.
        pack: The language.
    """
    if not pack.ordinal_dot or noun in pack.sentence_starters:
        return False
    numbered = before in pack.before_numbers or before in pack.before_numbers.values()
    return not numbered and before not in pack.romans.get("nouns", ())


def names_its_number(noun: str, pack: Pack) -> bool:
    """Whether a noun is one of those that ordinals mostly stand before, so that `1.` is no mark of a list."""
    kinds = ("feminine", "neuter", "masculine")
    if any(noun in pack.ordinals.get(kind, ()) for kind in kinds):
        return True
    return pack.is_known and noun.lower() in cldr.month_names(pack.locale)


def inflected(line: str, digit: int, value: int, noun: str, pack: Pack) -> str:
    """Say an ordinal with the ending that the words around it ask for: `am dritten`, `der dritte`, `dritter`."""
    if "oblique" not in pack.ordinals:
        return ""
    stem = ordinal(value, pack).removesuffix("e")
    line, digit = _before_the_first(line, digit)
    match = _WORDS_BEFORE.search(line, max(0, digit - 40), digit)
    earlier, last = ((match[1] or "").lower(), match[2].lower()) if match else ("", "")
    kinds = pack.ordinals
    if last in kinds["oblique"] or (last in kinds["weak"] and earlier in kinds["weak_oblique"] and last != "das"):
        return stem + "en"
    if last in kinds["weak"] or noun in kinds["feminine"]:
        return stem + "e"
    return stem + ("es" if noun in kinds["neuter"] else "er")


_FIRST_NUMBER = re.compile(r"[0-9]{1,3}\.(?: ?[-–] ?| (?:und|oder|bis) )\Z")


def _before_the_first(line: str, digit: int) -> tuple[str, int]:
    """The second of two joined ordinals has the ending that the words before the first ask for."""
    first = _FIRST_NUMBER.search(line, max(0, digit - 12), digit)
    return (line, first.start()) if first else (line, digit)


@lru_cache(maxsize=512)
def with_mark(value: int, mark: str, pack: Pack) -> str:
    """Say an ordinal that is written with a mark: `1er`, `2ª`; nothing where the language has no such mark."""
    ending = pack.ordinal_marks.get(mark)
    words = ordinal(value, pack) if ending is not None else ""
    if not words or ending is None:
        return ""
    old, new = ending
    if old and not words.endswith(old):
        return words if mark.strip(".") not in ("er", "re", "ère") else ""
    if old in ("o", "a"):
        return " ".join(word.removesuffix(old) + new if word.endswith(old) else word for word in words.split())
    return words.removesuffix(old) + new if old else words + new


def _english(line: str, floor: int, digit: int, pack: Pack) -> Found | None:
    if (match := _ENGLISH.match(line, digit)) is not None:
        return Found(digit, match.end(), ordinal(int(match[1].replace(",", "")), pack))
    decade = _DECADE.match(line, digit)
    if decade is None:
        return None
    start = digit
    if decade[2]:
        mark = _DECADE_MARK.search(line, max(floor, digit - 7), digit)
        if mark is None:
            return None
        start = digit - 1 if mark[0].endswith("'") else digit
    words = year(int(decade[1]), pack) if decade[1] else cardinal(int(decade[2]), pack)
    return Found(start, decade.end(), f"{words[:-1]}ies" if words.endswith("y") else f"{words}s")
