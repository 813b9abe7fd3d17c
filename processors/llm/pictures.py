"""Pictures that are shown to the model with one turn, and stand in no history."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

from pipecat.processors.aggregators.llm_context import LLMContextMessage, standard_message_text


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
