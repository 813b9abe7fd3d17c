"""A turn of the user's to which a conversation goes back: found among its messages, and dropped with what follows.

In:  the turn's words as they were told, and how many turns of the user's came after it.   Out: the messages before it.

Words name it, not a number: turns that were joined, made into notes or left without an answer are counted otherwise by
whoever shows them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from pipecat.processors.aggregators.llm_context import LLMContextMessage, standard_message_text

# Of what a client says of it; spoken turns may be longer than typed ones.
MAX_CHARS = 20_000
MAX_TURNS = 1_000_000


@dataclass(frozen=True)
class TurnPoint:
    """Which turn is meant.

    Attributes:
        text: Its words; spaces do not count.
        n_later: How many turns of the user's came after it, about: of several with the same words the nearest is meant.
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

    def index_in(self, texts: Sequence[str]) -> int | None:
        """Which of the user's turns it is; one that holds the words beside others only where none is alike.

        Args:
            texts: Their words, in order.
        """
        wanted = _plain(self.text)
        said = [_plain(text) for text in texts]
        alike = [index for index, text in enumerate(said) if text == wanted]
        found = alike or [index for index, text in enumerate(said) if wanted and wanted in text]
        return min(found, key=lambda index: abs(len(texts) - 1 - index - self.n_later), default=None)


@dataclass
class WayBack:
    """Goes back to a turn where a history is changed.

    Attributes:
        point: The turn.
        found: Whether it was there.
    """

    point: TurnPoint
    found: bool = False

    def change(self, messages: list[LLMContextMessage]) -> list[LLMContextMessage]:
        """The messages before the turn; all of them where it is not among them."""
        kept = before_turn(messages, self.point)
        self.found = kept is not None
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
    found = point.index_in(texts)
    if found is None:
        # The last turn leaves no trace where not a word of an answer came.
        return list(messages) if point.n_later == 0 else None
    kept = list(messages[: users[found]])
    if rest := _plain(texts[found]).rpartition(_plain(point.text))[0].strip():
        kept.append(cast(LLMContextMessage, {"role": "user", "content": rest}))
    return kept


def _is_users(message: object) -> bool:
    return isinstance(message, dict) and message.get("role") == "user"


def _plain(text: str) -> str:
    return " ".join(text.split())
