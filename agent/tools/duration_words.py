"""Durations as one language says them.

In:  `an hour and a half`, numbers in digits.   Out: 5400 seconds.
"""

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

UNIT_SECS = {"hour": 3600, "minute": 60, "second": 1}
NUMBER = r"\d+(?:\.\d+)?"
_HALF = "+half"


class DurationWords:
    """Of one language.

    Args:
        table: Words for each unit of UNIT_SECS, and for `and_half`, `of` and `and`.
        numbers: Words for numbers, in digits.
    """

    def __init__(self, table: Mapping[str, Sequence[str]], numbers: Mapping[str, str]) -> None:
        self.units = {word: unit for unit in UNIT_SECS for word in table[unit]}
        self.joining, self.passed = table["and"], table["of"]
        self._numbers = numbers
        self._and_half = dict.fromkeys(table["and_half"], _HALF)

    def read(self, words: str) -> float | None:
        """Seconds; None where it is no duration.

        Args:
            words: Plain, numbers in digits.
        """
        left = words
        for by in (self._and_half, self._numbers, self.units):
            left = _replaced(left, by)
        passed = {*self.passed, *self.joining}
        total_secs, number, told = Fraction(0), None, set[str]()
        parts = [part for part in left.split() if part not in passed]
        for index, part in enumerate(parts):
            if part in UNIT_SECS:
                # "An hour and a half": of the unit that it follows.
                halves = _HALF in (*parts[max(0, index - 1) : index], *parts[index + 1 : index + 2])
                # "Five minutes and ten minutes" are two.
                if (number is None and not halves) or part in told:
                    return None
                told.add(part)
                total_secs += ((1 if number is None else number) + (Fraction(1, 2) if halves else 0)) * UNIT_SECS[part]
                number = None
            elif re.fullmatch(NUMBER, part):
                # "Half an hour" is half of one hour.
                if number is not None and part != "1":
                    return None
                number = Fraction(part) if number is None else number
            elif part != _HALF:
                return None
        return float(total_secs) if total_secs and number is None else None


def _replaced(words: str, by: Mapping[str, str]) -> str:
    """The words with whole phrases replaced, the longest first."""
    if not by:
        return words
    phrases = "|".join(re.escape(phrase) for phrase in sorted(by, key=len, reverse=True))
    return re.sub(rf"(?<!\S)(?:{phrases})(?!\S)", lambda found: by[found[0]], words)
