"""Notes of older turns where two models answer: the smallest context that takes a history counts."""

from dataclasses import replace
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContext

from agent.conversation.compactors import MIN_ROOM_TOKENS, compactor
from processors.llm.compactor import Compactor
from processors.llm.options import LargeModel, LLMOptions
from processors.llm.service import LocalLLMService
from tests.support.virtual_time import in_virtual_time


def of(small: dict[str, Any], large: dict[str, Any]) -> Compactor:
    plain = LLMOptions("http://127.0.0.1:1/v1", "small", max_tokens=500)
    big = LargeModel(replace(plain, model="big", **large))
    options = replace(plain, large=big, **small)
    return compactor(options, LocalLLMService(options), LLMContext())


@in_virtual_time
async def test_the_smallest_context_that_takes_a_history_counts() -> None:
    both = of({"context_tokens": 4096}, {"context_tokens": 32_768})
    assert both._room_tokens == 4096 - 500
    large_alone = of({"context_tokens": 2048, "last_turn_only": True}, {"context_tokens": 8192})
    assert large_alone._room_tokens == 8192 - 500
    tiny = of({"context_tokens": 600}, {"context_tokens": None})
    assert tiny._room_tokens == MIN_ROOM_TOKENS
    unknown = of({"last_turn_only": True}, {})
    assert (unknown._room_tokens, unknown._ask_room) == (None, None)


@in_virtual_time
async def test_what_is_asked_anew_is_the_smallest_of_both() -> None:
    async def told() -> int | None:
        return 3000

    both = of({"context_tokens": None, "served_tokens": told}, {"context_tokens": 32_768})
    assert both._room_tokens == 32_768 - 500
    assert both._ask_room
    assert await both._ask_room() == 3000 - 500


@in_virtual_time
async def test_turns_wait_for_nothing_only_where_both_servers_answer_many() -> None:
    one = of({"context_tokens": 4096, "answers_many": True}, {"context_tokens": 4096})
    both = of({"context_tokens": 4096, "answers_many": True}, {"context_tokens": 4096, "answers_many": True})
    assert (one._answers_many, both._answers_many) == (False, True)
