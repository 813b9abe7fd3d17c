"""Numbers: what belongs to one, and how it is said.

In:  text and the index of a digit.   Out: the number, its grouping understood; in English as words; in the other
languages with `spells` decimals and grouped numbers as words, and plain whole numbers as digits, which voices read.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from num2words import num2words

from processors.text.language_pack import Pack

# A longer number is read digit by digit.
LONGEST_DIGITS = 15
_ENGLISH_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# No letter follows; scripts that write words without spaces do not count.
END = r"(?![^\W\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af])"


class Number(NamedTuple):
    """A number as it stands in a text.

    Attributes:
        end: Index behind it.
        digits: Its digits without grouping, `.` before the fraction.
        grouped: It was written with grouping.
    """

    end: int
    digits: str
    grouped: bool = False

    @property
    def value(self) -> float:
        """The value, without a sign."""
        return float(self.digits)


@lru_cache(maxsize=16)
def _pattern(mark: str) -> re.Pattern[str]:
    """A number, its fraction behind `mark`; see `find_number` for what groups."""
    group = re.escape(".,".replace(mark, ""))
    indian = r"[0-9]{1,2}(?:,[0-9]{2}){1,4},[0-9]{3}|" if mark == "." else ""
    return re.compile(
        rf"(?P<whole>[0-9]{{1,3}}(?:'[0-9]{{3}}){{1,4}}(?![0-9'])|[0-9]{{1,3}}(?:{group}[0-9]{{3}}){{1,4}}(?![0-9])|{indian}"
        r"[1-9][0-9]{0,2}(?: [0-9]{3}){1,4}(?! ?[0-9])|[0-9]{1,15}(?![0-9]))"
        rf"(?:{re.escape(mark)}(?P<fraction>[0-9]{{1,15}})(?![0-9]|[.,][0-9]))?"
    )


_UNIT_FOLLOWS = re.compile(r"[ -]?(?:[a-zµ°Ω]{1,3}|[A-Z]{1,2}|kWh|IU|[kMG]Hz|[KMGT]B)(?![^\W_])")
_SMALL_WORDS = re.compile(r" (?:of|in|at|to|on|is|and|are|or|by|for|as|we|it|my|you|the|was|has|had|not|who)\b")
_OTHER_MARK = re.compile(r"([0-9]{1,9})[.,]([0-9]{1,2})(?![0-9]|[.,/:-][0-9])")


def find_number(text: str, start: int, pack: Pack) -> Number | None:
    """Read the number that begins at a digit.

    Thousands are grouped by the mark that is not decimal, by an apostrophe or by one space; after Indian custom,
    pairs may stand before the last three digits.

    Returns:
        The number; None where the digits are no single number of the language, or more than `LONGEST_DIGITS`.
    """
    match = _pattern(pack.decimal_mark).match(text, start)
    if match is None:
        return None
    whole, fraction = match["whole"], match["fraction"]
    if " " in whole and not _space_groups(text, match, pack):
        end = start + whole.index(" ")
        return Number(end, whole[: end - start])
    end = match.end()
    if text[end : end + 1] in ".," and text[end + 1 : end + 2].isdecimal():
        return None
    digits = whole.translate(_UNGROUPED)
    grouped = digits != whole
    return Number(end, f"{digits}.{fraction}" if fraction else digits, grouped)


_UNGROUPED = {ord(char): None for char in " ',."}


def _space_groups(text: str, match: re.Match[str], pack: Pack) -> bool:
    """Whether spaces join the digits to one number: `10 000 people`, but not the two of `2 500 mg tablets`."""
    if text[max(0, match.start() - 2) : match.start()].strip(" ").isdecimal():
        return False
    if not pack.is_english:
        return True
    first, _, rest = match["whole"].partition(" ")
    unit = _UNIT_FOLLOWS.match(text, match.end()) and not _SMALL_WORDS.match(text, match.end())
    if len(first) == 1 and unit:
        return False
    return len(first) < 3 or " " in rest or rest == "000" or text[match.end() : match.end() + 2].strip().isalpha()


def find_amount(text: str, start: int, pack: Pack) -> Number | None:
    """Read a number that has a unit or a currency, where a fraction of two digits may stand behind the other mark."""
    number = find_number(text, start, pack)
    if number is None:
        match = _OTHER_MARK.match(text, start)
        return Number(match.end(), f"{match[1]}.{match[2]}") if match else None
    return number


def say_number(number: Number, pack: Pack) -> str:
    """Say a number without its sign."""
    if pack.is_english:
        return spell(number.digits, pack)
    whole, _, fraction = number.digits.partition(".")
    if not fraction and not number.grouped:
        return number.digits
    if not pack.spells:
        return f"{whole}{pack.decimal_mark}{fraction}" if fraction else whole
    return spell(number.digits, pack)


def spell(digits: str, pack: Pack) -> str:
    """Write a number in words; a leading zero makes it single digits."""
    whole, _, fraction = digits.partition(".")
    if len(whole) > LONGEST_DIGITS or (len(whole) > 1 and whole[0] == "0"):
        words = say_digits(whole, pack)
    else:
        words = cardinal(int(whole), pack)
    return f"{words} {pack.words['point']} {say_digits(fraction, pack)}" if fraction else words


def cardinal(value: int, pack: Pack) -> str:
    """Say a whole number; in digits where the language has no words for it."""
    return _in_words(value, pack.num2words or "", "cardinal") or str(value)


def ordinal(value: int, pack: Pack) -> str:
    """Say a whole number as an ordinal; empty where the language has no words for it."""
    return _in_words(value, pack.num2words or "", "ordinal")


def year(value: int, pack: Pack) -> str:
    """Say a year in English."""
    return _in_words(value, pack.num2words, "year")


def say_digits(digits: str, pack: Pack) -> str:
    """Say digits one by one."""
    if pack.is_english:
        return " ".join(_ENGLISH_DIGITS[int(digit)] for digit in digits)
    return " ".join(cardinal(int(digit), pack) for digit in digits)


@lru_cache(maxsize=4096)
def _in_words(value: int, language: str, form: str) -> str:
    if not language:
        return ""
    return str(num2words(value, lang=language, to=form)).replace(",", "")
