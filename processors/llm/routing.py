"""Which of two language models answers a turn: rules first, then failover.

In:  the history of a turn, and what it may use.   Out: the models in the order in which they are asked, and why.

Pipecat's LLMSwitcher does not do this: it holds a model's branch open or shut for all that comes, by hand or after an
error has left the pipeline. The turn that failed is then lost, its apology under way, and an answer that was prepared
in advance stands in another branch than the one that is asked next. So the service asks both models itself.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage

from processors.llm.call_ids import tool_names
from processors.llm.history import last_user_words
from processors.llm.requests import is_about_code, needs_tool
from processors.retries import Retries

# A model that hangs costs a turn its whole patience each time, so it is not tried again after a second.
REST_SECS = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
# In the metadata of a reply's text: the Answering model.
ANSWERING = "answering"
_FENCE = "```"
NO_IMAGE = "[an image that you cannot see]"


class Why(StrEnum):
    """Why a model answers a turn, as events tell it."""

    IMAGE = "image"
    CODE = "code"
    LONG = "long"
    TOOL = "tool"
    # It goes on with what it has begun by calling a tool.
    SAME = "same"
    # No rule asks for the large one.
    PLAIN = "plain"
    # The one that the rules chose has failed just now, or lately.
    FAILOVER = "failover"
    RESTING = "resting"


@dataclass(frozen=True)
class Answering:
    """Which model answers, and why.

    Attributes:
        model: Its name.
        size: `small` or `large`.
        why: See Why.
    """

    model: str
    size: str
    why: Why

    def as_fields(self) -> dict[str, str]:
        """What events say about it."""
        return {"model": self.model, "size": self.size, "why": str(self.why)}


class Rest:
    """Whether a model that failed is left alone for a while; of all conversations."""

    def __init__(self) -> None:
        self._retries = Retries(REST_SECS)
        self._until_secs = 0.0

    @property
    def is_on(self) -> bool:
        """Whether it is not to be asked now, if another can be."""
        return time.monotonic() < self._until_secs

    def begin(self) -> None:
        """It has failed; of several failures at a time one counts."""
        if not self.is_on:
            self._until_secs = time.monotonic() + self._retries.wait_secs(0.0)

    def end(self) -> None:
        """It has answered."""
        self._until_secs = 0.0
        self._retries.begin_anew()


@dataclass(frozen=True)
class Rules:
    """Which turns go to the large model.

    Attributes:
        code: Those about code, and what comes right after an answer with code in it.
        min_words: Those of so many words or more; 0: however long.
        tools: Those that may need a tool, where the small model can call none.
        images: Those whose history holds an image.
    """

    code: bool = True
    min_words: int = 40
    tools: bool = True
    images: bool = True

    def why(self, context: LLMContext, *, calls_tools: bool) -> Why:
        """The first rule by which the large model answers; PLAIN where none does.

        Args:
            context: The history, the user's words last.
            calls_tools: Whether the small model can call tools.
        """
        words = last_user_words(context.messages)
        if self.images and has_image(context.messages):
            return Why.IMAGE
        if self.code and (is_about_code(words) or _FENCE in _last_answer(context.messages)):
            return Why.CODE
        if self.min_words and len(words.split()) >= self.min_words:
            return Why.LONG
        if self.tools and not calls_tools and needs_tool(words, tool_names(context)):
            return Why.TOOL
        return Why.PLAIN


def has_image(messages: Sequence[LLMContextMessage]) -> bool:
    """Whether any message holds an image."""
    return any(_is_image(part) for message in messages for part in _parts(message))


def without_images(messages: Sequence[LLMContextMessage]) -> list[LLMContextMessage]:
    """The messages with a word for each image, for a model that sees none."""
    blind: list[LLMContextMessage] = []
    for message in messages:
        parts = _parts(message)
        if not any(map(_is_image, parts)):
            blind.append(message)
            continue
        texts = [NO_IMAGE if _is_image(part) else str(part.get("text") or "") for part in parts]
        blind.append({**message, "content": "\n".join(filter(None, texts))})  # pyright: ignore
    return blind


def _last_answer(messages: Sequence[LLMContextMessage]) -> str:
    said = (message for message in reversed(messages) if isinstance(message, dict))
    last = next((message for message in said if message.get("role") == "assistant"), None)
    content = last.get("content") if last else None
    return content if isinstance(content, str) else ""


def _parts(message: LLMContextMessage) -> Sequence[Mapping[str, object]]:
    content = message.get("content") if isinstance(message, dict) else None
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _is_image(part: Mapping[str, object]) -> bool:
    return part.get("type") in ("image_url", "image", "input_image")
