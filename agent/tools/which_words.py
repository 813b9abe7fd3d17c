"""Which of several timers is meant, as one language says it.

In:  `the five minute one`, plain, and the timers there are.   Out: those that are meant.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.tools.clock_words import SaidTime
from agent.tools.timers import Timer

MAX_WORDS = 8
_NUMBER = re.compile(r"\d+")
# "1st", "1.", "1er", "2ème", "1º".
_ORDINAL = re.compile(r"([1-9])(?:st|nd|rd|th|ers?|[eè]re|[eè]me|e|[oa]|[.º°ª])")
# "The ten" are seconds, minutes or hours.
_UNITS = (1, 60, 3600)


class WhichWords:
    """Of one language.

    Args:
        table: What it says under `which`: words that tell nothing (`bare`, and `ones` in front of them or at the end),
            those for a `timer` and for an `alarm`, for the `second` and the `last` one; whole answers for `all` of them
            and for `none`; and `cancel`: regular expressions of a whole turn that calls off {which}.
        read_secs: Reads plain words as a duration; None where they are none.
        read_time: The same for a time of day.
    """

    def __init__(
        self,
        table: Mapping[str, Any],
        read_secs: Callable[[str], float | None],
        read_time: Callable[[str], SaidTime | None],
    ) -> None:
        self._read_secs = read_secs
        self._read_time = read_time
        self._bare, self._timer, self._alarm = (set(table[name]) for name in ("bare", "timer", "alarm"))
        self._ones = set(table["ones"])
        self._second, self._last = set(table["second"]), set(table["last"])
        self._all, self._none, self._both = (re.compile("|".join(table[name])) for name in ("all", "none", "both"))
        self._cancel = [re.compile(one.replace("{which}", "(?P<which>.+)")) for one in table["cancel"]]

    def to_cancel(self, words: str) -> str:
        """The words of a whole turn that tell which timer or alarm is called off; empty where it is no such turn.

        Args:
            words: Plain.
        """
        each = (found["which"] for found in self._cancelled(words))
        return next((which for which in each if set(which.split()) & (self._timer | self._alarm)), "")

    def answer(self, words: str, timers: Sequence[Timer]) -> list[Timer] | None:
        """Those that an answer means: all, none or some of them; None: it is no answer.

        Args:
            words: Plain.
            timers: Those that were asked about, as they were named.
        """
        words = self._named(words)
        if self._is_all(words, len(timers)):
            return list(timers)
        if self._none.fullmatch(words):
            return []
        return self.meant(words, timers) or None

    def is_all(self, words: str, n_asked: int) -> bool:
        """Whether an answer means all of them.

        Args:
            words: Plain.
            n_asked: How many were asked about: "both" and "all three" are so many, and no others.
        """
        return self._is_all(self._named(words), n_asked)

    def _is_all(self, words: str, n_asked: int) -> bool:
        if not self._all.fullmatch(words):
            return False
        counts = [2] if self._both.search(words) else [int(count) for count in _NUMBER.findall(words) if count != "1"]
        return not counts or counts == [n_asked]

    def names_alarm(self, words: str) -> bool:
        """Whether words call off an alarm, or alarms.

        Args:
            words: Plain.
        """
        return any(found["which"].split()[-1].startswith(tuple(self._alarm)) for found in self._cancelled(words))

    def meant(self, words: str, timers: Sequence[Timer]) -> list[Timer]:
        """Those that words mean; none where they mean none of them, or something else.

        Args:
            words: Plain.
            timers: Those that there are.
        """
        said = words.split()
        if not said or len(said) > MAX_WORDS:
            return []
        kinds = {kind for kind, names in ((False, self._timer), (True, self._alarm)) if names & set(said)}
        of_kind = [timer for timer in timers if timer.alarm in kinds or not kinds]
        # "The first one" is of those that were named, "the second timer" of the timers.
        left = [word for word in said if word not in self._timer | self._alarm]
        # "The one for seven", "the five minute one", but "the one minute one".
        passed = [*left[1:], ""][: len(left)]
        left = [word for word, after in zip(left, passed, strict=True) if not self._is_one(word, after)] or left
        telling = [word for word in left if word not in self._bare]
        if not telling:
            # "The timer", where there is an alarm as well; of kept ones only the time is known.
            return (of_kind or list(timers)) if kinds else []
        by = (self._in_order, self._by_duration, self._by_time, self._by_label)
        found = next((found for find in by if (found := find(telling, " ".join(left), of_kind))), [])
        # A timer that was kept over a restart is told by its time, as alarms are.
        return found or self._by_label(telling, " ".join(left), timers)

    def _is_one(self, word: str, after: str) -> bool:
        return word in self._ones and (not after or after in self._bare)

    def _named(self, words: str) -> str:
        """`the tea one` of "cancel the tea one"."""
        return next((found["which"] for found in self._cancelled(words)), words)

    def _cancelled(self, words: str) -> Iterator[re.Match[str]]:
        return (found for one in self._cancel if (found := one.fullmatch(words)))

    def _in_order(self, telling: Sequence[str], _: str, timers: Sequence[Timer]) -> list[Timer]:
        word = telling[0]
        if len(telling) > 1:
            return []
        if word in self._last:
            return list(timers[-1:])
        ordinal = _ORDINAL.fullmatch(word)
        at = 2 if word in self._second else int(ordinal[1]) if ordinal else 0
        return list(timers[at - 1 : at]) if at else []

    def _by_duration(self, telling: Sequence[str], left: str, timers: Sequence[Timer]) -> list[Timer]:
        for words in (" ".join(telling), left):
            if (secs := self._read_secs(words)) is not None:
                return [timer for timer in timers if timer.is_meant(None, secs)]
        if len(telling) == 1 and _NUMBER.fullmatch(telling[0]):
            wanted = [int(telling[0]) * unit for unit in _UNITS]
            return [timer for timer in timers if any(timer.is_meant(None, secs) for secs in wanted)]
        return []

    def _by_time(self, telling: Sequence[str], left: str, timers: Sequence[Timer]) -> list[Timer]:
        for words in (left, " ".join(telling)):
            if said := self._read_time(words):
                return [
                    timer
                    for timer in timers
                    if timer.alarm and said.is_at(datetime.fromtimestamp(timer.due_secs).astimezone())
                ]
        return []

    def _by_label(self, telling: Sequence[str], left: str, timers: Sequence[Timer]) -> list[Timer]:
        """Those whose label has all the words; of several the one that is called so."""
        labels = {timer: timer.label.casefold().split() for timer in timers if timer.label}
        exact = [timer for timer, label in labels.items() if label in (list(telling), left.split())]
        return exact or [timer for timer, label in labels.items() if set(telling) <= set(label)]
