"""A constrained choice: what a model that calls no tools would call, asked for as JSON that follows a schema.

In:  the history, before the ordinary answer.
Out: a call as a model's own would stream it, one short question back, or nothing: the model answers in words.

llama.cpp, Ollama, vLLM and LM Studio hold a model to a schema in `response_format`; a server that refuses the field is
asked without it from then on, and JSON that is not quite JSON is repaired.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import openai
from loguru import logger
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import (
    Choice,
    ChoiceDelta,
    ChoiceDeltaToolCall,
    ChoiceDeltaToolCallFunction,
)
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage, standard_message_text

from processors.llm.call_data import read_data
from processors.llm.failure import refuses_schema
from processors.llm.marks import FAMILIES
from processors.llm.options import LLMOptions
from processors.llm.reflex import as_reply
from processors.llm.routing import Rest

CHOICE = "choice"
# A text to be written may be long; a choice that is cut at its limit is none.
MAX_TOKENS = 400
MAX_ANSWER_CHARS = 20_000
# What is likeliest, and nothing by chance.
SURE = {"temperature": 0.0}
_THOUGHT_ENDS = tuple(close for family in FAMILIES for close in family.closes)


@dataclass(frozen=True)
class Offer:
    """What a model may choose from in one turn.

    Attributes:
        words: The user's.
        instruction: In place of the system prompt.
        messages: What the model is sent, the user's words last.
        schema: Of its answer.
        names: Of what is offered.
        sure: What the words surely ask for, or what is asked back: without asking the model.
    """

    words: str
    instruction: str
    messages: Sequence[LLMContextMessage]
    schema: Mapping[str, Any]
    names: tuple[str, ...]
    sure: "ChosenCall | str | None" = None


@dataclass(frozen=True)
class ChosenCall:
    """A call that was chosen.

    Attributes:
        name: Of the tool.
        arguments: Unchecked.
        call_id: What the history and events call it.
    """

    name: str
    arguments: Mapping[str, Any]
    call_id: str


class Chooser(Protocol):
    """Knows what can be chosen, and what an answer means."""

    def offer(self, messages: Sequence[LLMContextMessage], *, small: bool) -> Offer | None:
        """What the last message may ask for; None where it surely asks for nothing that can be done.

        Args:
            messages: The history; the user's words are last.
            small: Whether the model is one of the smallest, which follow examples only.
        """
        ...

    def decide(self, offer: Offer, answer: Mapping[str, Any], *, small: bool) -> ChosenCall | str | None:
        """What is done: a call; a short question that is asked back; or nothing.

        Args:
            offer: What the model chose from.
            answer: What it chose, unchecked.
            small: Whether it is one of the smallest.
        """
        ...


# Asks a model once: what, with which instruction, tokens of the answer, further fields of the request.
AskOnce = Callable[..., Awaitable[str | None]]


class ConstrainedChoice:
    """Of one conversation.

    Args:
        chooser: Knows the tools.
        options: How the model is asked; a choice may take as long as a reply's first word.
    """

    def __init__(self, chooser: Chooser, options: LLMOptions) -> None:
        self._chooser = chooser
        # One of the smallest models.
        self._small = options.last_turn_only
        self._limit_secs = options.first_token_timeout_secs
        self._takes_schema = True
        # After a choice that took too long.
        self._rest = Rest()
        # Whether the last turn might have asked for a tool.
        self.has_offered = False
        # Words that were tried while the turn went on are answered alike when it is over.
        self._last: tuple[Offer, Mapping[str, Any]] | None = None

    async def or_else(
        self,
        context: LLMContext,
        ask: AskOnce,
        otherwise: Callable[[LLMContext], AsyncGenerator[ChatCompletionChunk, None]],
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """The chunks of what is chosen, or of the ordinary answer.

        Args:
            context: The history.
            ask: Asks the model.
            otherwise: Gives the ordinary answer.
        """
        chosen = await self._choose(context.messages, ask)
        if isinstance(chosen, str):
            chunks = as_reply(chosen, CHOICE)
        elif chosen:
            chunks = _as_call(chosen)
        else:
            chunks = otherwise(context)
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    async def _choose(self, messages: Sequence[LLMContextMessage], ask: AskOnce) -> ChosenCall | str | None:
        self.has_offered = False
        last = messages[-1] if messages else None
        if not isinstance(last, dict) or last.get("role") != "user" or not standard_message_text(last).strip():
            return None
        try:
            offer = self._chooser.offer(messages, small=self._small)
            if offer is None:
                return None
            self.has_offered = True
            if offer.sure:
                return offer.sure
            # The instruction tells the minute, which may have turned.
            known = self._last and replace(self._last[0], instruction=offer.instruction) == offer
            if not known and self._rest.is_on:
                return None
            answer = self._last[1] if self._last and known else await self._answer(offer, ask)
            self._last = (offer, answer) if answer else None
            return self._chooser.decide(offer, answer, small=self._small) if answer else None
        except Exception as error:  # noqa: BLE001 - whatever a model makes up, it is then answered in words
            logger.warning(f"llm: a choice was no good ({type(error).__name__}: {error})"[:300])
            return None

    async def _answer(self, offer: Offer, ask: AskOnce) -> Mapping[str, Any]:
        """What the model chose; empty where it, or its server, did not."""
        try:
            async with asyncio.timeout(self._limit_secs):
                written = await self._ask(offer, ask)
        except (TimeoutError, openai.APITimeoutError):
            # Or each turn would wait as long, and then for its words.
            self._rest.begin()
            logger.warning(f"llm: no choice of a tool came within {self._limit_secs:g} s; it is answered in words")
            return {}
        except Exception as error:  # noqa: BLE001 - the ordinary answer is asked for next, and tells what fails
            logger.warning(f"llm: no choice of a tool came ({type(error).__name__}: {error}); it is answered in words")
            return {}
        self._rest.end()
        return read_answer(written)

    async def _ask(self, offer: Offer, ask: AskOnce) -> str | None:
        request = LLMContext(list(offer.messages))
        form = {"type": "json_schema", "json_schema": {"name": CHOICE, "schema": dict(offer.schema), "strict": True}}
        if self._takes_schema:
            try:
                return await ask(request, offer.instruction, MAX_TOKENS, plain=True, response_format=form, **SURE)
            except Exception as error:
                if not refuses_schema(error):
                    raise
                self._takes_schema = False
                logger.warning(f"llm: its server takes no schema; choices are asked for without one: {error}")
        return await ask(request, offer.instruction, MAX_TOKENS, plain=True, **SURE)


def read_answer(text: str | None) -> Mapping[str, Any]:
    """The object that a model wrote; what is only nearly JSON, or stands between fences, is repaired.

    Args:
        text: Its whole answer; None where it was cut, which is no answer.

    Returns:
        The object; empty where there is none.
    """
    if not text or len(text) > MAX_ANSWER_CHARS:
        return {}
    for mark in _THOUGHT_ENDS:
        text = text.rpartition(mark)[2]
    found: Any = read_data(text)
    # Of several the last one counts: models correct themselves.
    found = found[-1] if isinstance(found, list) and found else found
    return found if isinstance(found, dict) else {}


async def _as_call(call: ChosenCall) -> AsyncGenerator[ChatCompletionChunk, None]:
    """A call as a server would stream it."""
    function = ChoiceDeltaToolCallFunction(name=call.name, arguments=json.dumps(call.arguments, ensure_ascii=False))
    piece = ChoiceDeltaToolCall(index=0, id=call.call_id, type="function", function=function)
    yield _chunk(ChoiceDelta(role="assistant", tool_calls=[piece]), None)
    yield _chunk(ChoiceDelta(), "tool_calls")


def _chunk(delta: ChoiceDelta, finish_reason: Any) -> ChatCompletionChunk:
    choice = Choice(index=0, delta=delta, finish_reason=finish_reason)
    return ChatCompletionChunk(id=CHOICE, choices=[choice], created=0, model=CHOICE, object="chat.completion.chunk")
