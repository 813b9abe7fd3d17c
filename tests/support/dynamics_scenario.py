"""What happens in a conversation made by chance, and what is left of it.

In:  what the user does and how the engines are.   Out: what was heard, told, asked and remembered.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from agent.conversation.event_log import Event
from processors.stt.recognizer import Pcm16

Kind = Literal["words", "backchannel", "command", "laugh", "cough", "typed", "key"]
# What the user does next waits for: rest, the end of what they say, or (`now`) nothing; the agent's first sound, the
# end of the turn, or the first token, since they last did something.
After = Literal["idle", "said", "now", "reply", "thinking", "token"]
Fault = Literal["none", "refused", "dropped", "broken", "stalled"]


@dataclass(frozen=True)
class Act:
    """One thing that the user does: `delay_ms` after what it waits for."""

    kind: Kind
    after: After
    delay_ms: int
    misheard: bool = False


@dataclass(frozen=True)
class Answering:
    """How the language model answers one request."""

    n_words: int = 8
    first_ms: int = 0
    token_ms: tuple[int, ...] = (0,)
    asks: bool = False
    fault: Fault = "none"


@dataclass(frozen=True)
class Scenario:
    """A conversation; lists that are too short begin anew.

    Attributes:
        busy_ms: How long the step behind the language model is busy with each system frame, so that others wait there.
    """

    acts: tuple[Act, ...]
    answers: tuple[Answering, ...]
    finish_ms: tuple[int, ...]
    speak_ms: tuple[int, ...]
    chunk_ms: int
    partials: bool
    early: bool
    dumb_at: int | None
    busy_ms: int = 0


@dataclass
class Outcome:
    """What is left of a conversation.

    Attributes:
        utterances: What the user said, and whether it must be answered: a backchannel over the agent need not be.
        typed: What the user typed.
        misheard: Words that the recognizer lost.
        requests: The latest user message of each request to the language model.
        replies: The words of its answers, whole.
        faulty: Which of them broke off.
        n_dumb: How many sentences the synthesizer failed at.
        spoken: The agent's words that were ever synthesized, heard or not.
        told: The events in the order in which they were told.
        n_asked: Of each of them, how many requests had been made by then.
        left_over: Tasks that outlived the conversation.
        has_hands: Whether the user types, or presses the key that cuts the agent.
    """

    utterances: list[tuple[str, bool]] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    misheard: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    replies: list[list[str]] = field(default_factory=list)
    faulty: set[int] = field(default_factory=set)
    n_dumb: int = 0
    spoken: set[str] = field(default_factory=set)
    heard_s16: Pcm16 = field(default_factory=lambda: np.zeros(0, np.int16))
    history: list[dict[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    told: list[Event] = field(default_factory=list)
    n_asked: list[int] = field(default_factory=list)
    never_idle: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    has_hands: bool = False
