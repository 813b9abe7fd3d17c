"""What is left of one call, for the rules to look at."""

from dataclasses import dataclass, field
from typing import Any

from agent.conversation.event_log import Event
from tests.bench.chaos.engines import Asked
from tests.bench.chaos.script import Visit
from tests.bench.chaos.weather import Struck
from tests.bench.chaos.words import Heard

Message = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """An event, when it was told, and how many replies its caller had been given until then."""

    secs: float
    event: Event
    n_asked: int


@dataclass
class Asking:
    """Something that a caller says or types and that wants an answer.

    Attributes:
        word: The caller's own word in it.
        began_secs, ended_secs: On the virtual clock.
        written: Whether the answer is read.
    """

    word: str
    began_secs: float
    ended_secs: float
    written: bool = False


@dataclass
class CallLog:
    """One call.

    Attributes:
        seed: Of the hour.
        visit: What the caller was to do.
        began_secs, ended_secs: On the virtual clock.
        before, after: The history as it was and as it is.
        asked: Requests to the language model.
        struck: What failed during the call, in any call.
        never_idle: What went on for ever.
        final: The word of the last question, asked in peace.
    """

    seed: int
    caller: int
    visit: Visit
    began_secs: float = 0.0
    ended_secs: float = 0.0
    done: list[str] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    askings: list[Asking] = field(default_factory=list)
    # When the caller pressed the key that cuts the agent, began a command, or made a noise.
    cuts_secs: list[float] = field(default_factory=list)
    before: list[Message] = field(default_factory=list)
    after: list[Message] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    struck: list[Struck] = field(default_factory=list)
    never_idle: list[str] = field(default_factory=list)
    final: str | None = None
    left_over: list[str] = field(default_factory=list)

    def named(self, name: str) -> list[Told]:
        """The events of that name."""
        return [told for told in self.told if told.event["event"] == name]
