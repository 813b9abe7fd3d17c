"""A choice that is no good: it costs no turn, and whatever was made up is then answered in words."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage

from processors.llm.call_data import MAX_REPAIRED_CHARS
from processors.llm.choice import ChosenCall, ConstrainedChoice, Offer, read_answer
from processors.llm.options import LLMOptions
from processors.llm.reflex import as_reply
from processors.llm.routing import REST_SECS
from tests.support.virtual_time import in_virtual_time

WORDS = "set a timer"
OWN = "In words."


class Chooses:
    """Offers the same each time, at another minute; decides as it is told, or fails."""

    def __init__(self, decision: ChosenCall | Exception) -> None:
        self._decision = decision
        self.n_offers = 0

    def offer(self, messages: Sequence[LLMContextMessage], *, small: bool) -> Offer | None:
        self.n_offers += 1
        return Offer(WORDS, f"It is 12:{self.n_offers:02}.", messages, {}, ("set_timer",))

    def decide(self, offer: Offer, answer: Mapping[str, Any], *, small: bool) -> ChosenCall | str | None:
        if isinstance(self._decision, Exception):
            raise self._decision
        return self._decision


async def says_own(_: LLMContext) -> AsyncGenerator[ChatCompletionChunk, None]:
    async for chunk in as_reply(OWN, "test"):
        yield chunk


async def come_of(choice: ConstrainedChoice, n_asked: list[int], takes_secs: float = 0.0) -> list[str]:
    async def ask(*_: Any, **__: Any) -> str:
        n_asked.append(1)
        await asyncio.sleep(takes_secs)
        return '{"action": "set_timer", "parameters": {}, "confidence": 1}'

    context = LLMContext([{"role": "user", "content": WORDS}])
    chunks = [chunk async for chunk in choice.or_else(context, ask, says_own)]
    calls = [call.function for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks]
    return [call.name or "" for call in calls if call] or ["".join(texts)]


@in_virtual_time
async def test_a_choice_that_cannot_be_judged_is_answered_in_words() -> None:
    choice = ConstrainedChoice(Chooses(OverflowError("a number of 400 digits")), LLMOptions("http://h/v1", "m"))
    assert await come_of(choice, []) == [OWN]


@in_virtual_time
async def test_words_that_were_tried_already_are_not_asked_again_when_the_minute_has_turned() -> None:
    choice, n_asked = ConstrainedChoice(Chooses(ChosenCall("set_timer", {}, "1")), LLMOptions("http://h/v1", "m")), []
    assert await come_of(choice, n_asked) == await come_of(choice, n_asked) == ["set_timer"]
    assert len(n_asked) == 1
    assert choice.has_offered


@in_virtual_time
async def test_a_model_that_is_too_slow_to_choose_is_not_waited_for_in_each_turn() -> None:
    patience_secs = 3.0
    asked = LLMOptions("http://h/v1", "m", first_token_timeout_secs=patience_secs)
    choice, n_asked = ConstrainedChoice(Chooses(ChosenCall("set_timer", {}, "1")), asked), []
    began_secs = time.monotonic()
    assert await come_of(choice, n_asked, takes_secs=60.0) == [OWN]
    assert await come_of(choice, n_asked, takes_secs=60.0) == [OWN]
    assert time.monotonic() - began_secs == pytest.approx(patience_secs)
    assert (len(n_asked), choice.has_offered) == (1, True)
    await asyncio.sleep(REST_SECS[0])
    assert await come_of(choice, n_asked) == ["set_timer"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('{"action": "none", "parameters": {}, ', {"action": "none", "parameters": {}}),
        ('{"action": "' + "x" * MAX_REPAIRED_CHARS, {}),
    ],
)
def test_what_is_nearly_json_is_repaired_where_it_is_short(written: str, read: Mapping[str, Any]) -> None:
    assert read_answer(written) == read
