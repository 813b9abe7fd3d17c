"""What the observer knows of one reply, from its first token until it has been heard, read or cut."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from agent.conversation.planned_words import PlannedWords


@dataclass
class Reply:
    """One reply.

    Attributes:
        text: What the language model has written.
        to_be_heard: The same with what bridges the wait for it or for its tools.
        n_chars: How long that was when the model had done.
        heard: The words that were played.
        planned: Events that tell what is going to be spoken, if the turn is over.
        is_speculative: Whether the turn that it answers may not be over.
        is_written: Whether it is read.
        reflex: The reflex that answered in the language model's place.
        is_done: Whether all of it has been heard; until then silence is a gap within it.
    """

    text: str = ""
    to_be_heard: str = ""
    n_chars: int = 0
    heard: list[str] = field(default_factory=list)
    planned: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    is_speculative: bool = False
    is_written: bool = False
    is_done: bool = True
    reflex: str | None = None


class Stage(Enum):
    """Where the observer sees something of a reply, in the order in which a cut passes them."""

    LLM = "the language model"
    TEXT = "speakable text"
    OUT = "the transport's output"


class Replies:
    """The reply that each stage is busy with: while a cut is on its way, a later stage still has the cut one."""

    def __init__(self) -> None:
        self._n_cuts: Counter[Stage] = Counter()
        self._replies: dict[int, Reply] = {}
        self._words: dict[int, PlannedWords] = {}

    def at(self, stage: Stage) -> Reply:
        """What a stage's frames belong to."""
        return self._replies.setdefault(self._n_cuts[stage], Reply())

    def words_at(self, stage: Stage) -> PlannedWords:
        """The words that are planned at a stage, or come to the next one."""
        return self._words.setdefault(self._n_cuts[stage], PlannedWords())

    def begin(self, stage: Stage, reply: Reply) -> None:
        """What a stage's frames belong to from now on, since the former one is over."""
        self._replies[self._n_cuts[stage]] = reply

    def cut(self, stage: Stage) -> None:
        """A cut has passed a stage; behind the last one the reply is forgotten."""
        if stage is Stage.OUT:
            self._replies.pop(self._n_cuts[stage], None)
            self._words.pop(self._n_cuts[stage], None)
        self._n_cuts[stage] += 1
