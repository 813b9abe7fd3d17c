"""What is answered without the language model: the time, a timer, a sum.

A reflex is found by the words of a turn. Its answer goes the way of a reply, into the history, too.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loguru import logger
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta
from pipecat.processors.aggregators.llm_context import LLMContextMessage, standard_message_text

# In the metadata of a reply's text that no language model wrote: the reflex's name.
REFLEX = "reflex"


@dataclass(frozen=True)
class Reflex:
    """One turn's answer without a language model.

    Attributes:
        name: What events call it.
        acts: Whether it does something, so that it must wait until the turn is certain.
        answer: Does it, once, and gives the words; empty: the language model answers after all.
        written: The same where the answer is read, if its words are others then.
    """

    name: str
    acts: bool
    answer: Callable[[], Awaitable[str]]
    written: Callable[[], Awaitable[str]] | None = None


# From the user's last words and the messages before them; after a tool's result, from no words and all messages.
FindReflex = Callable[[str, Sequence[LLMContextMessage]], Reflex | None]


def reflex_for(find: FindReflex | None, messages: Sequence[LLMContextMessage]) -> Reflex | None:
    """The reflex that answers the last message, the user's or a tool's; None where there is none."""
    last = messages[-1] if messages else None
    if find is None or not isinstance(last, dict) or last.get("role") not in ("user", "tool"):
        return None
    text, earlier = ("", messages) if last.get("role") == "tool" else (standard_message_text(last), messages[:-1])
    try:
        return find(text, earlier)
    # Whatever goes wrong in the reading of words, the language model answers.
    except Exception as error:  # noqa: BLE001
        logger.opt(exception=error).error("what needs no language model could not be found out")
        return None


async def as_reply(words: str, name: str) -> AsyncGenerator[ChatCompletionChunk, None]:
    """The words as a server would stream them."""
    said: dict[str, Any] = {"role": "assistant", "content": words}
    yield _chunk(name, ChoiceDelta(**said), None)
    yield _chunk(name, ChoiceDelta(), "stop")


def _chunk(name: str, delta: ChoiceDelta, finish_reason: Any) -> ChatCompletionChunk:
    choice = Choice(index=0, delta=delta, finish_reason=finish_reason)
    return ChatCompletionChunk(
        id=REFLEX, choices=[choice], created=0, model=f"{REFLEX}:{name}", object="chat.completion.chunk"
    )
