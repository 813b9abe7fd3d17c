"""Timers and alarms without a language model: set, listed and called off, and the question which one is meant.

In:  the user's words and the messages before them.   Out: a Reflex, or None: the words are about something else.

An answer to a question of ours counts in the turn right after it: "the tea one", or "seven thirty".
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from pipecat.processors.aggregators.llm_context import standard_message_text

from agent.tools.alarm_words import ALARM, TIMELESS, AlarmWords, Messages, last_said
from agent.tools.clock import Now
from agent.tools.reflex_words import Matched, ReflexWords
from agent.tools.timers import Timer, TimerBook
from agent.tools.toolbox import Toolbox
from processors.llm.reflex import Reflex

TIMER_TOOLS = {"set_timer", ALARM, "list_timers"}
CANCEL = "cancel_timer"
# Called off by their kind: which of them.
KINDS: dict[str, Callable[[Timer], bool]] = {
    "cancel_timers": lambda timer: not timer.alarm,
    "cancel_alarms": lambda timer: timer.alarm,
    "cancel_all": lambda _: True,
}
# Told, and of which kind.
LISTS: dict[str, Callable[[Timer], bool]] = {
    "time_left": lambda _: True,
    "list_timers": lambda _: True,
    "list_alarms": lambda timer: timer.alarm,
}
# What switches the alarms of a house.
HOUSE_ALARMS = "home_guarded"
# More are not named in one question.
MAX_NAMED = 4

# Does a tool's work once; what is said where it was not done, else nothing.
Hindered = Callable[[str, dict[str, Any]], Awaitable[str]]


class TimerReflexes:
    """Of one conversation.

    Args:
        words: The language's.
        toolbox: Does what acts.
        book: The user's timers.
        hindered: Does a tool's work in this turn.
        now: Gives the local time, with its zone.
    """

    def __init__(self, words: ReflexWords, toolbox: Toolbox, book: TimerBook, hindered: Hindered, now: Now) -> None:
        self._words = words
        self._toolbox = toolbox
        self._book = book
        self._hindered = hindered
        self._alarms = AlarmWords(words, now)
        # The user's last turn that was told of them, or that is asked which one: its words, and their numbers.
        self._told: tuple[str, tuple[int, ...]] = ("", ())
        self._asked: tuple[str, tuple[int, ...]] = ("", ())

    def find(self, text: str, matched: Matched | None, earlier: Messages) -> Reflex | None:
        """The reflex about timers that these words ask for, or that they answer a question of.

        Args:
            text: The user's turn.
            matched: What its words are by themselves.
            earlier: The messages before it.
        """
        return (
            self._answered(text, earlier)
            or (self._called_off(text, matched, earlier) if self._may(CANCEL) else None)
            or (self._listed(text, matched) if matched else None)
            or self._set(text, matched, earlier)
        )

    def _answered(self, text: str, earlier: Messages) -> Reflex | None:
        turn, numbers = self._asked
        if not turn or turn != last_said(earlier) or not self._may(CANCEL):
            return None
        named = [timer for timer in self._book.pending() if timer.number in numbers]
        said = self._words.bare(text)
        if named and self._words.which.is_all(said, len(numbers)):
            return Reflex(CANCEL, True, lambda: self._do_cancel(named))
        meant = self._words.which.answer(said, named)
        if meant == [] or (meant is None and self._words.agrees(text) is False):
            return Reflex("never_mind", False, self._okay)
        return self._cancel(text, meant) if meant else None

    def _called_off(self, text: str, matched: Matched | None, earlier: Messages) -> Reflex | None:
        pending = self._book.pending()
        if not pending:
            return None
        name = matched.name if matched else ""
        names_alarm = name == "cancel_alarms" or self._words.which.names_alarm(self._words.bare(text))
        if names_alarm and self._toolbox.has(HOUSE_ALARMS):
            # That of the house may be meant.
            return None
        if of_kind := KINDS.get(name):
            chosen = [timer for timer in pending if of_kind(timer)]
            if not chosen and name == "cancel_alarms":
                return Reflex(name, False, self._no_alarms)
            # Of a timer that was kept over a restart only the time is known.
            chosen = chosen or pending
            return Reflex(name, True, lambda: self._do_cancel(chosen))
        which = self._words.which
        if said := which.to_cancel(self._words.bare(text)):
            return self._cancel(text, which.meant(said, pending))
        if name == CANCEL:
            return self._cancel(text, [timer for timer in pending if not timer.alarm] or pending)
        if name == "stop" or not self._words.match(text, "cancel_it"):
            return None
        if spoken_of := self._spoken_of(earlier):
            return self._cancel(text, spoken_of, "cancel_it")
        # One that nobody speaks of is left alone; something else may be meant.
        return self._cancel(text, pending) if len(pending) > 1 and self._was_done_last(earlier) else None

    def _cancel(self, text: str, meant: list[Timer], name: str = CANCEL) -> Reflex | None:
        if len(meant) > 1:
            return Reflex("which", False, lambda: self._ask_which(text, meant))
        return Reflex(name, True, lambda: self._do_cancel(meant)) if meant else None

    def _listed(self, text: str, matched: Matched) -> Reflex | None:
        of_kind = LISTS.get(matched.name)
        if of_kind is None or not self._may("list_timers") or self._toolbox.tools["list_timers"].asks:
            return None
        if matched.name == "time_left" and not self._book.pending():
            return None
        return Reflex(matched.name, False, lambda: self._tell(text, of_kind))

    def _set(self, text: str, matched: Matched | None, earlier: Messages) -> Reflex | None:
        if matched and matched.name == "set_timer" and self._may("set_timer"):
            return Reflex(matched.name, True, lambda: self._set_timer(matched))
        asked = self._alarms.asked(text, matched, earlier) if self._may(ALARM) else None
        if asked is None:
            return None
        if (due := asked.due) is None:
            return Reflex(TIMELESS, False, self._ask_time)
        return Reflex(ALARM, True, lambda: self._set_alarm(due, asked.label))

    async def _set_timer(self, matched: Matched) -> str:
        arguments = {"seconds": matched.secs, "label": matched.label}
        if hindered := await self._hindered("set_timer", arguments):
            return hindered
        answer = "set_label" if matched.label else "set_timer"
        return self._words.say(answer, duration=self._words.duration(matched.secs or 0.0), label=matched.label)

    async def _set_alarm(self, due: datetime, label: str) -> str:
        return await self._hindered(ALARM, self._alarms.arguments(due, label)) or self._alarms.told(due, label)

    async def _do_cancel(self, meant: list[Timer]) -> str:
        pending = self._book.pending()
        names = self._names(pending)
        numbers = {timer.number for timer in meant}
        # Some may have gone off meanwhile.
        gone = [(timer, name) for timer, name in zip(pending, names, strict=True) if timer.number in numbers]
        if not gone:
            return self._words.say("no_timers")
        timers = [timer for timer, _ in gone]
        if hindered := await self._hindered(CANCEL, self._arguments(timers, pending)):
            return hindered
        if len(timers) == 1 < len(pending):
            return self._words.say("cancelled_one", name=gone[0][1])
        kinds = {timer.alarm for timer in timers}
        if len(timers) == 1:
            return self._words.say("cancelled_alarm" if True in kinds else "cancelled")
        many = {frozenset({False}): "cancelled_all", frozenset({True}): "cancelled_alarms"}
        return self._words.say(many.get(frozenset(kinds), "cancelled_mixed"), count=len(timers))

    @staticmethod
    def _arguments(timers: list[Timer], pending: list[Timer]) -> dict[str, Any]:
        if len(timers) == len(pending):
            return {"all": True} if len(pending) > 1 else {}
        (first, *others) = timers
        named = [timer for timer in pending if timer.label and timer.label.casefold() == first.label.casefold()]
        return {"numbers": [timer.number for timer in timers]} if others or len(named) != 1 else {"label": first.label}

    async def _ask_which(self, text: str, meant: list[Timer]) -> str:
        self._asked = (text, tuple(timer.number for timer in meant))
        if len(meant) > MAX_NAMED:
            return self._words.say("which_of", count=len(meant))
        return self._words.say("which", names=self._words.either(self._names(meant)))

    async def _ask_time(self) -> str:
        return self._alarms.question

    async def _no_alarms(self) -> str:
        return self._words.say("no_alarms")

    async def _okay(self) -> str:
        return self._words.say("okay")

    async def _tell(self, text: str, of_kind: Callable[[Timer], bool]) -> str:
        told = [timer for timer in self._book.pending() if of_kind(timer)]
        self._told = (text, tuple(timer.number for timer in told))
        if not told:
            return self._words.say("no_timers" if of_kind is not LISTS["list_alarms"] else "no_alarms")
        return " ".join(self._left(timer) for timer in told)

    def _left(self, timer: Timer) -> str:
        duration = self._words.duration(timer.left_secs(self._book.now_secs()))
        if timer.alarm:
            return self._words.say("left_alarm", duration=duration, name=self._name(timer))
        return self._words.say("left_label" if timer.label else "left", duration=duration, label=timer.label)

    def _names(self, timers: Sequence[Timer]) -> list[str]:
        """What each is called, so that they can be told apart."""
        names = [self._name(timer) for timer in timers]
        return [
            name if names.count(name) == 1 else self._words.say("named_left", name=name, duration=self._left_of(timer))
            for name, timer in zip(names, timers, strict=True)
        ]

    def _name(self, timer: Timer) -> str:
        if timer.alarm:
            time = self._words.time(datetime.fromtimestamp(timer.due_secs).astimezone())
            return self._words.say("named_alarm_label" if timer.label else "named_alarm", label=timer.label, time=time)
        duration = self._words.duration(timer.whole_secs or 0.0)
        return self._words.say("named_label" if timer.label else "named", label=timer.label, duration=duration)

    def _left_of(self, timer: Timer) -> str:
        return self._words.duration(timer.left_secs(self._book.now_secs()))

    def _spoken_of(self, earlier: Messages) -> list[Timer]:
        """Those that the turn before was about, whoever answered it, and that are still to come."""
        numbers: set[int] = set()
        is_about = False
        for message in reversed(earlier):
            if not isinstance(message, dict):
                continue
            if message.get("role") == "user":
                if self._told[0] and standard_message_text(message) == self._told[0]:
                    numbers |= set(self._told[1])
                    is_about = True
                break
            calls: Any = message.get("tool_calls") or []
            is_about |= any(call["function"]["name"] in TIMER_TOOLS for call in calls)
            if message.get("role") == "tool":
                numbers |= _numbers(message.get("content"))
        return [timer for timer in self._book.pending() if timer.number in numbers] if is_about else []

    def _was_done_last(self, earlier: Messages) -> bool:
        """Whether nothing else was done since a timer was."""
        for message in reversed(earlier):
            calls: Any = (message.get("tool_calls") or []) if isinstance(message, dict) else []
            for call in reversed(calls):
                name = call["function"]["name"]
                if name in TIMER_TOOLS or name == CANCEL:
                    return True
                if not (tool := self._toolbox.tools.get(name)) or tool.acts:
                    return False
        return True

    def _may(self, tool: str) -> bool:
        return self._toolbox.has(tool)


def _numbers(content: object) -> set[int]:
    """Of the timers that a tool has told of."""
    try:
        result = json.loads(content) if isinstance(content, str) else content
    except (ValueError, RecursionError):
        return set()
    each = result if isinstance(result, list) else [result]
    return {one["number"] for one in each if isinstance(one, dict) and isinstance(one.get("number"), int)}
