"""Times of day as one language says them.

In:  `tomorrow at half past 6`, numbers in digits.   Out: 6:30, of tomorrow, in the morning or in the evening.

A time that may be that of the morning or that of the evening is the next such one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

DAY_MINS = 24 * 60
# Hours that a part of the day may stand by, and how much later they are than they are said.
_PARTS: Mapping[str, Mapping[int, int]] = {
    "morning": {12: 0, **{hour: hour for hour in range(12)}},
    "afternoon": {12: 12, **{hour: hour + 12 for hour in range(1, 12)}, **{hour: hour for hour in range(13, 24)}},
    "evening": {12: 0, **{hour: hour + 12 for hour in range(4, 12)}, **{hour: hour for hour in range(16, 24)}},
    "night": {
        12: 0,
        **{hour: hour for hour in range(6)},
        **{hour: hour + 12 for hour in range(6, 12)},
        **{hour: hour for hour in range(18, 24)},
    },
}
_DAYS = ("today", "tomorrow")
# "6am", "7h30".
_JOINED = re.compile(r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")
_NUMBERS = {"{h}": r"(?P<h>[01]?\d|2[0-4])", "{mm}": r"(?P<m>[0-5]\d)", "{m}": r"(?P<m>[0-5]?\d)"}


@dataclass(frozen=True)
class SaidTime:
    """A time of day.

    Attributes:
        mins: Since midnight.
        is_sure: Whether it cannot be twelve hours later or earlier.
        day: `today`, `tomorrow`, or empty: the next one.
    """

    mins: int
    is_sure: bool
    day: str = ""

    def is_at(self, at: datetime) -> bool:
        """Whether a clock that shows this may show these words.

        Args:
            at: Local.
        """
        return (at.hour * 60 + at.minute - self.mins) % (DAY_MINS if self.is_sure else DAY_MINS // 2) == 0

    def next(self, now: datetime) -> datetime | None:
        """When it comes next; None where that is not on its day any more.

        Args:
            now: Local, with its zone.
        """
        each = [self.mins] if self.is_sure else [self.mins % (DAY_MINS // 2), self.mins % (DAY_MINS // 2) + 720]
        days = [now.date() + timedelta(days=later) for later in (0, 1)]
        wanted = {"today": days[:1], "tomorrow": days[1:]}.get(self.day, days)
        found = [at for day in wanted for mins in each if (at := _at(day, mins)) > now]
        return min(found, default=None)


class ClockWords:
    """Of one language.

    Args:
        table: What it says under `clock`: words that may stand in front (`at`), those for parts of the day and for
            days, and `times`: patterns, each with the minutes that are to be added to the hour {h}; {m}, or {mm} with
            both digits, are minutes, and what is added is how often they count. Without an hour they are those of the
            day.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._kinds: dict[str, set[str]] = {}
        for kind in (*_PARTS, *_DAYS):
            for phrase in table[kind]:
                self._kinds.setdefault(phrase, set()).add(kind)
        self._phrases = _phrases(self._kinds)
        self._before = re.compile(rf"(?:(?:{'|'.join(map(re.escape, table['at']))}) )*")
        self._times = [(_compiled(pattern), int(mins)) for pattern, mins in table["times"].items()]

    def read(self, words: str) -> SaidTime | None:
        """The time; None where it is none.

        Args:
            words: Plain, numbers in digits.
        """
        kinds: set[str] = set()
        left = self._without_kinds(_JOINED.sub(" ", words), kinds)
        left = left[self._before.match(left).end() :]  # pyright: ignore[reportOptionalMemberAccess]
        days = [kind for kind in _DAYS if kind in kinds]
        parts = [kind for kind in _PARTS if kind in kinds]
        if len(days) > 1:
            return None
        for pattern, mins in self._times:
            if found := pattern.fullmatch(left):
                return _said(found.groupdict(), mins, parts, days[0] if days else "")
        return None

    def is_day(self, words: str) -> bool:
        """Whether words tell a day, or a part of it, and nothing else.

        Args:
            words: Plain.
        """
        return not self._before.sub("", f"{self._without_kinds(words, set())} ", count=1).strip()

    def _without_kinds(self, words: str, kinds: set[str]) -> str:
        def note(found: re.Match[str]) -> str:
            kinds.update(self._kinds[found[0]])
            return ""

        return " ".join(self._phrases.sub(note, words).split())


def _said(found: Mapping[str, str | None], mins: int, parts: Sequence[str], day: str) -> SaidTime | None:
    hour_said, minute_said = found.get("h"), found.get("m")
    if hour_said is None:
        return SaidTime(mins % DAY_MINS, True, day) if not parts else None
    hour = int(hour_said) % 24
    # "07:30" is a clock's that counts to 24.
    is_sure = hour == 0 or hour > 12 or hour_said.startswith("0")
    hours = {_PARTS[part].get(hour) for part in parts}
    if len(hours) > 1 or None in hours:
        return None
    later = int(minute_said) * mins if minute_said is not None else mins
    # A quarter to one in the afternoon: what is said is the hour that comes.
    return SaidTime(((hours or {hour}).pop() * 60 + later) % DAY_MINS, is_sure or bool(parts), day)  # pyright: ignore[reportOptionalOperand]


def _at(day: date, mins: int) -> datetime:
    """By the local calendar, so that a night with a changed clock is right."""
    return datetime(day.year, day.month, day.day, mins // 60, mins % 60).astimezone()


def _compiled(pattern: str) -> re.Pattern[str]:
    for place, takes in _NUMBERS.items():
        pattern = pattern.replace(place, takes)
    return re.compile(pattern)


def _phrases(phrases: Mapping[str, object]) -> re.Pattern[str]:
    longest_first = "|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True))
    return re.compile(rf"(?<!\S)(?:{longest_first})(?!\S)")
