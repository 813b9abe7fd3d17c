"""The agent hangs up on a telephone call: once its goodbye was heard, and in the protocol of each line."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import pytest

from tests.agent.server.test_asterisk_socket import LINES as WEBSOCKET
from tests.agent.server.test_asterisk_socket import asterisk_call
from tests.agent.server.test_audio_socket import HANG_UP, OPEN, SHOWN
from tests.agent.server.test_telephone import LINES, in_call, speech
from tests.agent.server.test_telephone_providers import LINES as PROVIDERS
from tests.agent.server.test_telephone_providers import in_call as in_call_of
from tests.agent.tools.test_choice import answered
from tests.support.asterisk_callers import audio_socket_call
from tests.support.scripted_engines import WORD_SECS
from tests.support.scripted_llm import Reply, ToolCall
from tests.support.telephone_callers import RATE_HZ, TwilioCaller
from tests.support.telephone_house import Lines, holding_lines, until_active
from tests.support.virtual_time import in_virtual_time

CALL = ToolCall("hang_up")
HANGS_UP = Reply(tool_calls=[CALL])
BYE = {"bye": HANGS_UP}
GOODBYE = "Goodbye and take good care."
CLOSED = (1000, "the agent hung up")


async def say_goodbye_and_then(lines: Lines, caller: TwilioCaller, sound: Any) -> None:
    """A question that the model answers by its goodbye; behind that more sound of the caller's."""
    caller.say(speech("days_in_a_week"))
    await lines.until_event("bot_word", count=3)
    await asyncio.sleep(0.5)
    caller.say(sound)


def states(lines: Lines) -> list[str]:
    return [event["state"] for event in lines.named("hang_up")]


def heard_words(sound_s16: Any) -> float:
    """How many words were loud; a sine is below the threshold near its zeros."""
    return (np.abs(sound_s16.astype(int)) > 1000).sum() / RATE_HZ / WORD_SECS


@in_virtual_time
async def test_the_line_is_closed_once_the_goodbye_was_played_at_the_far_side() -> None:
    async with (
        holding_lines(LINES, "bye", replies=(GOODBYE,), answers=BYE) as lines,
        in_call(lines) as caller,
    ):
        caller.say(speech("days_in_a_week"))
        assert await caller.until_closed() == CLOSED
        assert caller.has_played_all
        await until_active(lines.sessions, 0)
    assert [event["text"] for event in lines.named("bot_word")] == GOODBYE.split()
    assert heard_words(caller.heard_s16) == pytest.approx(5, rel=0.08)
    assert states(lines) == ["wanted", "done"]
    assert lines.named("session_ended")[0]["reason"] == "the agent hung up"
    told = next(event["event"] for event in lines.events if event["event"] in ("tool_result", "bot_word"))
    assert told == "tool_result"


@in_virtual_time
async def test_a_goodbye_that_stands_before_the_call_is_not_said_twice() -> None:
    answers = {"bye": Reply(GOODBYE, tool_calls=[CALL])}
    async with holding_lines(LINES, "bye", answers=answers) as lines, in_call(lines) as caller:
        caller.say(speech("days_in_a_week"))
        assert await caller.until_closed() == CLOSED
    assert [event["text"] for event in lines.named("bot_word")] == GOODBYE.split()
    assert heard_words(caller.heard_s16) == pytest.approx(5, rel=0.08)
    assert {request.messages[-1]["role"] for request in lines.llm.requests} == {"user"}


@in_virtual_time
@pytest.mark.parametrize("names", [("current_time", "hang_up"), ("hang_up", "current_time")])
async def test_what_is_asked_in_the_same_breath_is_answered_before_the_line_closes(names: tuple[str, str]) -> None:
    calls = [ToolCall(name, call_id=f"call_{name}") for name in names]
    answers = {"bye": Reply("Goodbye!", tool_calls=calls)}
    async with (
        holding_lines(LINES, "bye", replies=("It is noon.",), answers=answers) as lines,
        in_call(lines) as caller,
    ):
        caller.say(speech("days_in_a_week"))
        assert await caller.until_closed() == CLOSED
    assert [event["text"] for event in lines.named("bot_word")] == ["Goodbye!", "It", "is", "noon."]
    assert len(lines.llm.requests) == 2
    results = {one["tool_call_id"]: one["content"] for one in lines.llm.requests[1].messages if one["role"] == "tool"}
    assert results["call_hang_up"] == '{"hanging_up": "the call ends once what you have said was heard"}'
    assert "time" in results["call_current_time"]
    assert states(lines) == ["wanted", "done"]


@in_virtual_time
@pytest.mark.parametrize("provider", ["telnyx", "plivo"])
async def test_telnyx_and_plivo_are_hung_up_on_as_twilio_is(provider: str) -> None:
    async with (
        holding_lines(PROVIDERS, "bye", replies=(GOODBYE,), answers=BYE) as lines,
        in_call_of(lines, provider) as caller,
    ):
        caller.say(speech("days_in_a_week"))
        assert await caller.until_closed() == CLOSED
        assert caller.has_played_all
    assert heard_words(caller.heard_s16) == pytest.approx(5, rel=0.08)


@in_virtual_time
async def test_a_provider_that_answers_no_marks_is_hung_up_on_all_the_same() -> None:
    async with (
        holding_lines(LINES, "bye", replies=("Goodbye.",), answers=BYE) as lines,
        in_call(lines, answers_marks=False) as caller,
    ):
        caller.say(speech("days_in_a_week"))
        assert await caller.until_closed() == CLOSED


@in_virtual_time
async def test_audio_socket_gets_its_own_hang_up_after_all_sound() -> None:
    async with (
        holding_lines(OPEN, "bye", replies=(GOODBYE,), answers=BYE) as lines,
        audio_socket_call(lines.audio_ports["pbx"]) as caller,
    ):
        await caller.begin(SHOWN)
        caller.say(speech("days_in_a_week"))
        kinds = await caller.until_closed()
    assert kinds.count(HANG_UP) == 1
    assert kinds[-1] == HANG_UP
    assert heard_words(caller.heard_s16) == pytest.approx(5, rel=0.08)
    assert lines.named("session_ended")[0]["reason"] == "the agent hung up"


@in_virtual_time
@pytest.mark.parametrize("is_json", [False, True])
async def test_chan_websocket_is_told_to_hang_up_after_all_sound(is_json: bool) -> None:
    async with (
        holding_lines(WEBSOCKET, "bye", replies=(GOODBYE,), answers=BYE) as lines,
        asterisk_call(lines, "slin", is_json=is_json) as caller,
    ):
        await caller.begin()
        caller.say("days_in_a_week")
        assert await caller.until_closed() == CLOSED
    assert caller.commands == ["HANGUP"]
    assert heard_words(caller.heard_s16()) == pytest.approx(5, rel=0.08)


@in_virtual_time
async def test_a_caller_who_speaks_into_the_goodbye_is_not_hung_up_on() -> None:
    replies = ("One two three four five six seven eight.", "Goodbye.")
    answers = {**BYE, "wait one more thing": Reply("Still here."), "now bye": HANGS_UP}
    async with (
        holding_lines(LINES, "bye", "wait one more thing", "now bye", replies=replies, answers=answers) as lines,
        in_call(lines) as caller,
    ):
        caller.say(speech("days_in_a_week"))
        await lines.until_event("bot_started_speaking")
        await asyncio.sleep(0.5)
        caller.say(speech("stop"))
        await lines.until_event("bot_stopped_speaking", count=2)
        await asyncio.sleep(30)
        assert not caller.ended.is_set()
        assert states(lines) == ["wanted", "called_off"]
        caller.say(speech("capital_of_germany"))
        assert await caller.until_closed() == CLOSED
    assert states(lines) == ["wanted", "called_off", "wanted", "done"]
    # The model knows that the call went on.
    results = [one["content"] for one in lines.llm.requests[-1].messages if one["role"] == "tool"]
    assert results[:1] == ['{"not_done": "the caller spoke, and the call went on"}']


@in_virtual_time
async def test_a_noise_after_the_goodbye_leaves_no_line_open() -> None:
    # 2 s of voice without a pause are a turn, where no partials are shown; this one turns out to have no words.
    voice = speech("capital_of_germany")
    loud = np.flatnonzero(np.abs(voice) > 1000)
    noise = np.tile(voice[loud[0] : loud[-1]], 3)
    async with (
        holding_lines(LINES, "bye", "", replies=(GOODBYE,), answers=BYE) as lines,
        in_call(lines) as caller,
    ):
        await say_goodbye_and_then(lines, caller, noise)
        assert await caller.until_closed() == CLOSED
    assert [event["text"] for event in lines.named("turn_ended")] == ["bye", ""]
    assert states(lines) == ["wanted", "done"]


@in_virtual_time
async def test_words_after_the_goodbye_keep_the_line_open_and_the_model_that_answers_them_knows() -> None:
    answers = {**BYE, "wait one more thing": Reply("Still here.")}
    async with (
        holding_lines(LINES, "bye", "wait one more thing", replies=(GOODBYE,), answers=answers) as lines,
        in_call(lines) as caller,
    ):
        await say_goodbye_and_then(lines, caller, speech("stop"))
        await lines.until_event("bot_stopped_speaking", count=2)
        await asyncio.sleep(30)
        assert not caller.ended.is_set()
    assert states(lines) == ["wanted", "called_off"]
    asked = next(one for one in lines.llm.requests if one.messages[-1]["content"] == "wait one more thing")
    results = [one["content"] for one in asked.messages if one["role"] == "tool"]
    assert results == ['{"not_done": "the caller spoke, and the call went on"}']


@in_virtual_time
async def test_a_model_that_calls_no_tools_hangs_up_on_words_that_ask_for_it() -> None:
    async with (
        holding_lines(LINES, "okay goodbye", calls_tools=False) as lines,
        in_call(lines) as caller,
    ):
        chosen = '{"action": "hang_up", "parameters": {}, "confidence": 0.2}'
        lines.llm.script.append(answered(chosen))
        caller.say(speech("days_in_a_week"))
        assert await caller.until_closed() == CLOSED
    assert [event["text"] for event in lines.named("bot_word")] == ["Goodbye."]


@in_virtual_time
async def test_a_model_of_the_smallest_is_not_even_asked() -> None:
    small = holding_lines(LINES, "thank you bye", calls_tools=False, last_turn_only=True)
    async with small as lines, in_call(lines) as caller:
        caller.say(speech("days_in_a_week"))
        assert await caller.until_closed() == CLOSED
    assert [event["text"] for event in lines.named("bot_word")] == ["Goodbye."]
    assert lines.llm.requests == []


@in_virtual_time
async def test_a_model_that_calls_no_tools_hangs_up_on_no_other_words() -> None:
    heard = "did she say goodbye to him"
    async with holding_lines(LINES, heard, calls_tools=False) as lines, in_call(lines) as caller:
        lines.llm.script += [answered('{"action": "hang_up", "parameters": {}, "confidence": 1}'), Reply("She did.")]
        caller.say(speech("days_in_a_week"))
        await lines.until_event("bot_stopped_speaking")
        await asyncio.sleep(5)
        assert not caller.ended.is_set()
    assert states(lines) == []


@in_virtual_time
@pytest.mark.parametrize("hangs_up", [True, False])
async def test_the_tool_is_offered_on_a_line_that_allows_it(hangs_up: bool) -> None:
    told = {"office": {**LINES["office"], "hang_up": hangs_up}}
    async with AsyncExitStack() as stack:
        lines = await stack.enter_async_context(holding_lines(told, "hello", replies=("Hi.",)))
        caller = await stack.enter_async_context(in_call(lines))
        caller.say(speech("days_in_a_week"))
        await lines.until_event("bot_stopped_speaking")
    offered = [one["function"]["name"] for one in lines.llm.requests[0].body["tools"]]
    assert ("hang_up" in offered) is hangs_up
