"""A turn of the user's to which a conversation goes back: found among its messages, and dropped with what follows.

In:  the turn's words as they were told, and how many turns of the user's came after it.   Out: the messages before it.

Words name it, not a number: turns that were joined, made into notes or left without an answer are counted otherwise by
whoever shows them. He shows every turn of the history, and some that left no trace in it: what stands further back than
he says is another one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from pipecat.processors.aggregators.llm_context import LLMContextMessage, standard_message_text

from processors.llm.routing import NO_IMAGE

# Of what a client says of it; spoken turns may be longer than typed ones.
MAX_CHARS = 20_000
MAX_TURNS = 1_000_000
# How many of the turns that came after it may have left no trace of their own.
MAX_TRACELESS = 5


@dataclass(frozen=True)
class TurnPoint:
    """Which turn is meant.

    Attributes:
        text: Its words; spaces do not count.
        n_later: How many turns of the user's came after it, at most: of several with the same words the nearest is
            meant.
    """

    text: str
    n_later: int = 0

    @classmethod
    def read(cls, told: object) -> "TurnPoint | None":
        """A point as clients name it; None where it is none.

        Args:
            told: `{"text", "later"?}`; anything.
        """
        match told:
            case {"text": str(text), **more} if 0 < len(text) <= MAX_CHARS and text.strip():
                later = more.get("later", 0)
                whole = isinstance(later, int) and not isinstance(later, bool) and 0 <= later <= MAX_TURNS
                return cls(text, later) if whole else None
        return None

    def index_in(self, texts: Sequence[str], *, joined: bool = True) -> int | None:
        """Which of the user's turns it is; one that holds the words beside others only where none is alike.

        Args:
            texts: Their words, in order.
            joined: Whether several turns may stand in one of them.
        """
        wanted, said = _plain(self.text), [_plain(text) for text in texts]
        first = len(said) - 1 - self.n_later
        near = range(max(0, first), min(len(said), first + MAX_TRACELESS + 1))
        alike = [index for index in near if said[index] == wanted]
        parts = [index for index in near if joined and self._is_part_of(said[index])]
        return next(iter(alike or parts), None)

    def _is_part_of(self, text: str) -> bool:
        """Whether it is among turns that were joined; the last one stands at their end."""
        text, wanted = f" {text} ", f" {_plain(self.text)} "
        return text.endswith(wanted) if self.n_later == 0 else wanted in text


@dataclass
class WayBack:
    """Goes back to a turn where a history is changed.

    Attributes:
        point: The turn.
        found: Whether it was there, or is the last one, which may leave no trace.
        taken: Whether it was there.
        is_over: Nobody waits for it any more: all messages stay.
    """

    point: TurnPoint
    found: bool = False
    taken: bool = False
    is_over: bool = False

    def change(self, messages: list[LLMContextMessage]) -> list[LLMContextMessage]:
        """The messages before the turn; all of them where it is not among them."""
        if self.is_over:
            return messages
        kept = before_turn(messages, self.point)
        self.found = kept is not None
        self.taken = self.found and kept != messages
        return messages if kept is None else kept


def before_turn(messages: Sequence[LLMContextMessage], point: TurnPoint) -> list[LLMContextMessage] | None:
    """The messages before a turn; None where it is not among them.

    Of a message that was joined of several, what stands before the turn's words stays.

    Args:
        messages: The conversation.
        point: The turn.
    """
    users = [index for index, message in enumerate(messages) if _is_users(message)]
    texts = [standard_message_text(messages[index]) for index in users]
    found = point.index_in([text.replace(NO_IMAGE, " ") for text in texts])
    if found is None:
        # The last turn leaves no trace where not a word of an answer came.
        return list(messages) if point.n_later == 0 else None
    kept = list(messages[: users[found]])
    if rest := f" {_plain(texts[found])} ".rpartition(f" {_plain(point.text)} ")[0].strip():
        kept.append(cast(LLMContextMessage, {"role": "user", "content": rest}))
    return kept


def _is_users(message: object) -> bool:
    return isinstance(message, dict) and message.get("role") == "user"


def _plain(text: str) -> str:
    return " ".join(text.split())
