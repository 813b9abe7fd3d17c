"""Fractions, ratings, ratios, and what is written like one: `1 1/2`, `4.5/5`, `16:9`, `50/50`, `24/7`.

In:  a line and the index of a digit.   Out: the stretch that is one of these, in words.
"""

import re

from processors.text import cldr
from processors.text.found import Found
from processors.text.language_pack import Pack
from processors.text.spoken_amounts import unit_behind
from processors.text.spoken_numbers import cardinal, ordinal, say_digits

_FRACTION = re.compile(r"(?:([0-9]{1,3})[ -])?([0-9]{1,3})[/⁄]([0-9]{1,3})(?![\w/]|\.[0-9]|/)")
_RATING = re.compile(r"([0-9]{1,3})[.,]([0-9]{1,3})/([0-9]{1,3})(?![\w/]|\.[0-9])")
_RATIO = re.compile(r"([0-9]{1,6})(?:(?: ?: ?)([0-9]{1,6}))(?:(?: ?: ?)([0-9]{1,6}))?(?![\w:]|[.,][0-9])")
_SPACED_COLON = re.compile(r"[0-9]+(?: :|: )")
_IDIOM = re.compile(r"[0-9]{1,2}[a-z]?[/-][0-9A-Za-z]{1,7}(?![\w/]|\.[0-9])")
_INCH = re.compile(r"\"(?!\w)")
_NOT_BEFORE = re.compile(r"[\w./:]")


def find_fraction(line: str, floor: int, digit: int, pack: Pack) -> Found | None:
    """Find the fraction, rating or ratio that begins at a digit."""
    before = line[digit - 1 : digit]
    if digit > floor and before and _NOT_BEFORE.match(before) and ord(before) < 0x2E80:
        return None
    idiom = _IDIOM.match(line, digit)
    if idiom and idiom[0] in pack.idioms:
        return Found(digit, idiom.end(), pack.idioms[idiom[0]])
    match = _FRACTION.match(line, digit)
    words = _fraction_words(match, pack) if match else ""
    if match and words:
        return _with_what_is_measured(line, digit, match, words, pack)
    return _rating(line, digit, pack) or _ratio(line, digit, pack)


def _with_what_is_measured(line: str, digit: int, match: re.Match[str], words: str, pack: Pack) -> Found:
    """Say a fraction with its unit: `5/8"`, `1/2 tsp`, `1 1/2 kg`."""
    value = "2.5" if match[1] or int(match[2]) > int(match[3]) else "1" if pack.is_english else "0.5"
    end = match.end()
    if _INCH.match(line, end) and pack.is_known and line.count('"', max(0, digit - 80), digit) % 2 == 0:
        pattern, end = cldr.unit_pattern(pack.locale, "length-inch", pack.plural(float(value))) or "", end + 1
    else:
        pattern, end = unit_behind(line, end, value, pack)
    return Found(digit, end, pattern.format(words) if pattern else words)


def _fraction_words(match: re.Match[str], pack: Pack) -> str:
    if not pack.is_english:
        return _local_fraction(match, pack)
    whole, above, below = match[1], int(match[2]), int(match[3])
    if match[3] == "0" or (whole and above >= below):
        words = ""
    elif below in (10, 100) and whole is None:
        words = f"{cardinal(above, pack)} out of {cardinal(below, pack)}"
    elif not 2 <= below <= 20 or (above >= below and whole is None):
        words = f"{cardinal(above, pack)} over {cardinal(below, pack)}"
    else:
        part = {2: "half", 4: "quarter"}.get(below) or ordinal(below, pack)
        words = f"{cardinal(above, pack)} {part if above == 1 else 'halves' if below == 2 else part + 's'}"
    return f"{cardinal(int(whole), pack)} and {words}" if whole and words else words


def _local_fraction(match: re.Match[str], pack: Pack) -> str:
    fraction = f"{match[2]}/{match[3]}"
    if match[1] and fraction in pack.fractions:
        return f"{match[1]} {pack.fractions['and']} {pack.fractions[fraction]}"
    if match[1]:
        return ""
    if fraction in pack.fractions:
        return pack.fractions[fraction]
    if "/" in pack.templates:
        return pack.templates["/"].format(match[2], match[3])
    return f"{match[2]} {pack.words['over']} {match[3]}" if "over" in pack.words and not pack.tight else ""


def _rating(line: str, digit: int, pack: Pack) -> Found | None:
    match = _RATING.match(line, digit)
    if match is None or "point" not in pack.words:
        return None
    of = "out of" if pack.is_english else pack.words["over"]
    words = [cardinal(int(match[1]), pack), pack.words["point"], say_digits(match[2], pack), of]
    return Found(digit, match.end(), " ".join([*words, cardinal(int(match[3]), pack)]))


def _ratio(line: str, digit: int, pack: Pack) -> Found | None:
    match = _RATIO.match(line, digit)
    if match is None or "ratio" not in pack.words or not pack.words["ratio"]:
        return None
    if _SPACED_COLON.match(match[0]) and " : " not in match[0]:
        return None
    parts = [part for part in match.groups() if part]
    if len(parts) == 3 and (len(parts[1]) == 2 or len(parts[2]) == 2):
        return None
    said = [cardinal(int(part), pack) if pack.is_english else part for part in parts]
    return Found(digit, match.end(), f"{pack.gap}{pack.words['ratio']}{pack.gap}".join(said))
