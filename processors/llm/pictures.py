"""Pictures that are shown to the model: with one turn alone, or beside a message of the history.

Those of one turn, the camera's, stand in no history. Those that the user attached to a typed turn stand in its message.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, cast

from pipecat.processors.aggregators.llm_context import LLMContextMessage, standard_message_text

from processors.llm.routing import without_images

# In one history; older ones go.
MAX_ATTACHED = 4


class Pictures(Protocol):
    """What there is to see."""

    def urls(self) -> Sequence[str]:
        """Of the turn that is under way, as data URLs."""
        ...

    def drop(self) -> None:
        """They have been answered."""
        ...


def with_pictures(messages: Sequence[LLMContextMessage], urls: Sequence[str]) -> list[LLMContextMessage]:
    """The messages with pictures beside the user's last words.

    Args:
        messages: As a server is sent them; none is changed.
        urls: Data URLs.
    """
    shown = list(messages)
    at = next((at for at in range(len(shown) - 1, -1, -1) if _is_users(shown[at])), None)
    if at is not None and urls:
        parts: list[dict[str, Any]] = [{"type": "text", "text": standard_message_text(shown[at])}]
        parts += [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        shown[at] = cast(LLMContextMessage, {"role": "user", "content": parts})
    return shown


def _is_users(message: LLMContextMessage) -> bool:
    return isinstance(message, dict) and message.get("role") == "user"


class Attached:
    """Pictures that were sent with typed turns, until these come into the history."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, Sequence[str]]] = deque(maxlen=MAX_ATTACHED)

    def add(self, text: str, urls: Sequence[str]) -> None:
        """A turn will come with pictures.

        Args:
            text: Its words.
            urls: Data URLs.
        """
        self._waiting.append((text, urls))

    def drop(self) -> None:
        """The turns that they were sent with are not asked any more."""
        self._waiting.clear()

    def shown(self, messages: Sequence[LLMContextMessage]) -> list[LLMContextMessage] | None:
        """The history with the pictures of its last message, where that has some; None where not.

        Args:
            messages: The history; none is changed.
        """
        last = messages[-1] if messages else None
        if last is None or not _is_users(last):
            return None
        words = standard_message_text(last)
        for one in list(self._waiting):
            if words.endswith(one[0]):
                self._waiting.remove(one)
                return latest_pictures([*messages[:-1], asked_with(words, one[1])])
        return None


def asked_with(text: str, urls: Sequence[str]) -> LLMContextMessage:
    """A message of the user's.

    Args:
        text: Its words.
        urls: Pictures that belong to it, as data URLs.
    """
    if not urls:
        return cast(LLMContextMessage, {"role": "user", "content": text})
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return cast(LLMContextMessage, {"role": "user", "content": parts})


def latest_pictures(messages: Sequence[LLMContextMessage], most: int = MAX_ATTACHED) -> list[LLMContextMessage]:
    """The history with the pictures of its latest messages alone; of others a word stays.

    Args:
        messages: The history; none is changed.
        most: How many pictures at most, but all of one message.
    """
    kept = list(messages)
    n_pictures = 0
    for index in range(len(kept) - 1, -1, -1):
        n_here = n_pictures_of(kept[index])
        n_pictures += n_here
        if n_here and n_pictures > max(most, n_here):
            kept[index : index + 1] = without_images([kept[index]])
    return kept


def picture_chars(message: LLMContextMessage) -> int:
    """How many characters of pictures a message holds."""
    return sum(len(str(part)) for part in _pictures(message))


def n_pictures_of(message: LLMContextMessage) -> int:
    """How many pictures a message holds."""
    return len(_pictures(message))


def _pictures(message: LLMContextMessage) -> list[Any]:
    content = message.get("content") if isinstance(message, dict) else None
    parts = content if isinstance(content, list) else []
    return [part for part in parts if isinstance(part, dict) and part.get("type") == "image_url"]
