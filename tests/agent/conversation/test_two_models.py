"""A conversation with a small and a large language model, in the real pipeline with scripted engines."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from agent.engines.host import ModelHost
from processors.llm.options import LargeModel
from processors.llm.routing import Rules
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Failure, Hang, Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

CODE = "what does this python code do"
SMALL = {"model": "scripted", "size": "small"}
LARGE = {"model": "big", "size": "large"}


@dataclass
class Two:
    """Two servers and the engines of a conversation with both."""

    small: ScriptedLLM
    large: ScriptedLLM
    host: ModelHost


@asynccontextmanager
async def two(
    heard: str, small: Mapping[str, Answer], large: Mapping[str, Answer], **changes: Any
) -> AsyncIterator[Two]:
    async with ScriptedLLM(answers=small) as first, ScriptedLLM(answers=large) as second:
        big = LargeModel(replace(options(second), model="big"), Rules())
        asked = replace(options(first), large=big, **changes)
        stt = ScriptedRecognizerEngine(heard, early=True)
        async with hosting(stt, asked, ScriptedSynthesizer()) as host:
            yield Two(first, second, host)


def told(held: Held) -> list[dict[str, Any]]:
    """What each llm_first_token says of its model."""
    return [
        {key: event[key] for key in ("model", "size", "why") if key in event} for event in held.named("llm_first_token")
    ]


def said(held: Held) -> str:
    return " ".join(held.texts("bot_word"))


@in_virtual_time
async def test_an_answer_that_is_prepared_in_the_pause_comes_from_the_model_of_the_rules() -> None:
    async with two(CODE, {}, {CODE: Reply("It adds.")}) as models:
        held = await hold(models.host, [say("days_in_a_week.wav")])
        assert told(held) == [{**LARGE, "why": "code"}]
        assert [event["outcome"] for event in held.named("speculation")] == ["kept"]
        assert (said(held), len(models.small.requests), len(models.large.requests)) == ("It adds.", 0, 1)


@in_virtual_time
async def test_a_turn_whose_model_is_broken_is_answered_by_the_other_without_an_apology() -> None:
    heard = "how many days are in a week"
    async with two(heard, {heard: Failure(500, "oops")}, {heard: Reply("Seven.")}) as models:
        held = await hold(models.host, [say("days_in_a_week.wav")])
        assert told(held) == [{**LARGE, "why": "failover"}]
        assert said(held) == "Seven."
        assert [message["content"] for message in held.history] == [heard, "Seven."]
        (error,) = held.named("error")
        assert (error["stage"], error["message"].endswith("; big answers")) == ("llm", True)


@in_virtual_time
async def test_a_turn_whose_model_hangs_is_answered_once_its_patience_is_over() -> None:
    heard = "how many days are in a week"
    async with two(heard, {heard: Hang()}, {heard: Reply("Seven.")}) as models:
        held = await hold(models.host, [say("days_in_a_week.wav")])
        assert told(held) == [{**LARGE, "why": "failover"}]
        assert (said(held), len(held.named("llm_done"))) == ("Seven.", 1)
        assert [message["content"] for message in held.history] == [heard, "Seven."]


@in_virtual_time
async def test_one_history_is_told_to_both() -> None:
    async with two("hello there", {"hello there": Reply("Hi.")}, {CODE: Reply("It adds.")}) as models:
        first = await hold(models.host, [say("hello_world.wav")])
        assert told(first) == [{**SMALL, "why": "plain"}]
        stt = ScriptedRecognizerEngine("hello there", CODE, early=True)
        async with hosting(stt, models.host.llm_options, ScriptedSynthesizer()) as host:
            held = await hold(host, [say("hello_world.wav"), say("days_in_a_week.wav")])
        assert [event["why"] for event in held.named("llm_first_token")] == ["plain", "code"]
        sent = [message["content"] for message in models.large.requests[-1].messages[1:]]
        assert sent == ["hello there", "Hi.", CODE]
