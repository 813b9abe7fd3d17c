"""An alarm that a turn asks for: when, or that its time has yet to be told.

In:  `Wake me at seven`, or `seven` right after the question for what time.   Out: the next such time, and a label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContextMessage, standard_message_text

from agent.tools.clock import Now
from agent.tools.clock_words import SaidTime
from agent.tools.reflex_words import Matched, ReflexWords

ALARM = "set_alarm"
# The same without a time that could be understood.
TIMELESS = "alarm_time"
Messages = Sequence[LLMContextMessage]


@dataclass(frozen=True)
class AskedAlarm:
    """An alarm that is asked for.

    Attributes:
        due: When it is to go off, today or tomorrow; None: for what time is asked.
        label: What it is for; may be empty.
    """

    due: datetime | None
    label: str = ""


class AlarmWords:
    """Of one conversation.

    Args:
        words: The language's.
        now: Gives the local time, with its zone.
    """

    def __init__(self, words: ReflexWords, now: Now) -> None:
        self._words = words
        self._now = now

    @property
    def question(self) -> str:
        """For what time an alarm is wanted."""
        return self._words.say("which_time")

    def asked(self, text: str, matched: Matched | None, earlier: Messages) -> AskedAlarm | None:
        """The alarm that a turn asks for; None where it asks for none.

        Args:
            text: The user's turn.
            matched: What its words are by themselves.
            earlier: The messages before it.
        """
        name = matched.name if matched else ""
        if matched and name == ALARM:
            return AskedAlarm(matched.at and matched.at.next(self._now()), matched.label)
        if name == TIMELESS:
            return AskedAlarm(None)
        said = self._answered(text, earlier)
        return AskedAlarm(said.next(self._now())) if said else None

    def arguments(self, due: datetime, label: str) -> dict[str, Any]:
        """What the tool takes.

        Args:
            due: When it goes off, today or tomorrow.
            label: What it is for; may be empty.
        """
        now = self._now()
        arguments: dict[str, Any] = {"time": f"{due:%H:%M}"}
        # The clock shows it today as well.
        if due.date() > now.date() and due.time() > now.time():
            arguments["tomorrow"] = True
        return {**arguments, "label": label} if label else arguments

    def told(self, due: datetime, label: str) -> str:
        """That it is set; see `arguments`."""
        return self._words.alarm_set(due, self._now(), label)

    def _answered(self, text: str, earlier: Messages) -> SaidTime | None:
        """The time that answers our question."""
        before = self._words.match(last, TIMELESS) if (last := last_said(earlier)) else None
        if before is None and self._words.plain(_last_told(earlier)) != self._words.plain(self.question):
            return None
        said = self._words.bare(text)
        return self._words.clock.read(f"{before.day} {said}".strip() if before else said)


def last_said(earlier: Messages) -> str:
    """The user's turn before.

    Args:
        earlier: The messages.
    """
    users = (one for one in reversed(earlier) if isinstance(one, dict) and one.get("role") == "user")
    return standard_message_text(message) if (message := next(users, None)) else ""


def _last_told(earlier: Messages) -> str:
    """What the agent said last."""
    last = earlier[-1] if earlier else None
    return standard_message_text(last) if isinstance(last, dict) and last.get("role") == "assistant" else ""
