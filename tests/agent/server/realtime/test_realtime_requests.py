"""Responses that a Realtime client asks for and cancels while the agent answers by itself: one at a time, each told."""

import asyncio
from typing import Any

import pytest
from pipecat.frames.frames import FunctionCallFromLLM, FunctionCallsStartedFrame
from pipecat.processors.aggregators.llm_context import LLMContext

from agent.conversation.conversation import Conversation
from agent.server.calls.session import LiveSession
from agent.server.realtime.agent_side import AgentSide
from agent.server.realtime.calls import ClientCalls
from agent.server.realtime.problems import RealtimeProblem
from agent.server.realtime.responses import Responses
from agent.server.realtime.session_config import FunctionTool
from agent.server.realtime.spoken_side import SpokenSide
from agent.tools.tool import CALL_ID, GivenArguments
from processors.llm.on_request import AnswersOnRequest
from tests.agent.server.realtime.stage import TRANSCRIBED, talking
from tests.agent.server.realtime.test_realtime_conversations import WEATHER, weather_call
from tests.support.house import SPEECH
from tests.support.scripted_llm import Reply, ToolCall
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

LONG_REPLY = "One two three four five six seven eight nine ten eleven twelve."
QUESTION = load_recording(SPEECH / "capital_of_germany.wav").audio_s16
STOP = load_recording(SPEECH / "stop.wav").audio_s16
CREATE = {"type": "response.create", "event_id": "mine"}
ACTIVE = "conversation_already_has_active_response"


@in_virtual_time
async def test_a_response_that_is_asked_for_while_an_answer_is_due_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = asyncio.Event()
    ask = AnswersOnRequest._ask

    async def held(self: AnswersOnRequest, frame: Any) -> None:
        await let_go.wait()
        await ask(self, frame)

    monkeypatch.setattr(AnswersOnRequest, "_ask", held)
    async with talking("what is the capital of germany", replies=("Berlin.", "Twice.")) as (caller, stage):
        await caller.update(audio=TRANSCRIBED)
        await caller.say(QUESTION)
        await caller.until("conversation.item.input_audio_transcription.completed")
        await caller.tell(CREATE)
        await caller.tell({"type": "conversation.item.retrieve", "item_id": "none"})
        refused = (await caller.until("error"))["error"]
        let_go.set()
        done = (await caller.until("response.done"))["response"]
        await asyncio.sleep(3)
    assert (refused["code"], refused["event_id"]) == (ACTIVE, "mine")
    assert done["output"][0]["content"][0]["transcript"] == "Berlin."
    assert len(stage.llm.requests) == len(caller.named("response.created")) == len(caller.named("response.done")) == 1


@in_virtual_time
async def test_a_reply_that_begins_while_a_response_is_asked_for_has_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = AgentSide.begin

    async def held(self: AgentSide, *, is_quiet: bool = True) -> LiveSession:
        # The sound is heard meanwhile.
        task = asyncio.current_task()
        while task and task.get_name() != "realtime-hearing" and not self._responses.is_open:
            await asyncio.sleep(0.05)
        return await begin(self, is_quiet=is_quiet)

    monkeypatch.setattr(AgentSide, "begin", held)
    async with talking("what is the capital of germany", replies=("Berlin.", "Twice.")) as (caller, stage):
        await caller.say(QUESTION)
        await caller.tell(CREATE)
        refused = (await caller.until("error"))["error"]
        done = (await caller.until("response.done"))["response"]
        await asyncio.sleep(3)
    assert (refused["code"], refused["event_id"]) == (ACTIVE, "mine")
    assert [one["response"]["id"] for one in caller.named("response.created")] == [done["id"]]
    assert done["output"][0]["content"][0]["transcript"] == "Berlin."
    assert len(stage.llm.requests) == 1


async def until_over(responses: list[Responses]) -> None:
    while responses[0].is_open:
        await asyncio.sleep(0.05)


def note_responses(monkeypatch: pytest.MonkeyPatch) -> list[Responses]:
    """The responses of the one connection that there will be."""
    noted: list[Responses] = []
    init = Responses.__init__

    def initialise(self: Responses, *args: Any) -> None:
        noted.append(self)
        init(self, *args)

    monkeypatch.setattr(Responses, "__init__", initialise)
    return noted


@in_virtual_time
async def test_a_cancel_that_came_too_late_says_nothing_about_the_next_barge_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    responses = note_responses(monkeypatch)

    async def lost(_: Conversation) -> None:
        # As where the conversation has begun anew by then.
        await until_over(responses)

    monkeypatch.setattr(Conversation, "interrupt", lost)
    async with talking("stop", replies=("Hello.", LONG_REPLY, "Fine.")) as (caller, _):
        await caller.tell(CREATE)
        await caller.until("response.created")
        await caller.tell({"type": "response.cancel"})
        first = (await caller.until("response.done"))["response"]
        await caller.tell(CREATE)
        await caller.until("response.created", 2)
        await caller.until("response.output_audio.delta", 60)
        await caller.say(STOP)
        cut = (await caller.until("response.done", 2))["response"]
    assert first["status"] == "completed"
    assert cut["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


@in_virtual_time
async def test_a_cut_that_comes_behind_its_response_leaves_the_next_one_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    responses = note_responses(monkeypatch)
    late: list[SpokenSide] = []
    interrupt, clear, ask = Conversation.interrupt, SpokenSide.clear, Responses.ask

    async def interrupt_late(self: Conversation) -> None:
        await until_over(responses)
        await interrupt(self)

    def ask_before_the_cut(self: Responses, *wanted: Any) -> None:
        ask(self, *wanted)
        while late:
            clear(late.pop())

    monkeypatch.setattr(Conversation, "interrupt", interrupt_late)
    monkeypatch.setattr(SpokenSide, "clear", lambda spoken: late.append(spoken))
    monkeypatch.setattr(Responses, "ask", ask_before_the_cut)
    async with talking(replies=("Hello.", "Berlin.")) as (caller, _):
        await caller.tell(CREATE)
        await caller.until("response.created")
        await caller.tell({"type": "response.cancel"})
        await caller.until("response.done")
        await asyncio.sleep(1)
        assert len(late) == 1
        await caller.tell({**CREATE, "response": {"metadata": {"number": "two"}}})
        done = (await caller.until("response.done", 2))["response"]
        await asyncio.sleep(3)
    assert (done["status"], done["metadata"]) == ("completed", {"number": "two"})
    assert done["output"][0]["content"][0]["transcript"] == "Berlin."
    assert len(caller.named("response.created")) == 2


@in_virtual_time
async def test_a_response_that_answers_a_functions_output_has_instructions_and_tools_of_its_own() -> None:
    replies: tuple[str | Reply, ...] = (weather_call(), weather_call("call_2", name="get_tide"), "It snows.")
    tide = {**WEATHER, "name": "get_tide"}
    async with talking("how is the weather in oslo", replies=replies) as (caller, stage):
        await caller.update(tools=[WEATHER], instructions="Be brief.")
        await caller.say(QUESTION)
        [item] = (await caller.until("response.done"))["response"]["output"]
        output = {"type": "function_call_output", "call_id": item["call_id"], "output": '{"sky": "snow"}'}
        await caller.tell({"type": "conversation.item.create", "item": output})
        own = {"instructions": "Whisper.", "tools": [tide], "max_output_tokens": 40}
        await caller.tell({**CREATE, "response": own})
        [item] = (await caller.until("response.done", 2))["response"]["output"]
        output = {"type": "function_call_output", "call_id": item["call_id"], "output": "low"}
        await caller.tell({"type": "conversation.item.create", "item": output})
        await caller.tell({**CREATE, "response": {"tool_choice": "none", "output_modalities": ["text"]}})
        done = (await caller.until("response.done", 3))["response"]
    assert caller.named("error") == []
    assert item["name"] == "get_tide"
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "It snows."}]
    assert (done["output_modalities"], caller.named("response.output_audio.delta")) == (["text"], [])
    asked = [
        (one.messages[0]["content"], [tool["function"]["name"] for tool in one.body.get("tools", ())])
        for one in stage.llm.requests
    ]
    assert asked == [("Be brief.", ["get_weather"]), ("Whisper.", ["get_tide"]), ("Be brief.", [])]
    assert stage.llm.requests[1].body["max_tokens"] == 40
    assert "snow" in str(stage.llm.requests[1].messages)
    assert "low" in str(stage.llm.requests[2].messages)


@in_virtual_time
async def test_functions_of_one_response_are_called_in_it_alone() -> None:
    replies: tuple[str | Reply, ...] = (weather_call(), "Fine.", "Hello.")
    async with talking("good morning", replies=replies) as (caller, stage):
        await caller.tell({**CREATE, "response": {"tools": [WEATHER]}})
        [item] = (await caller.until("response.done"))["response"]["output"]
        output = {"type": "function_call_output", "call_id": item["call_id"], "output": "sun"}
        await caller.tell({"type": "conversation.item.create", "item": output})
        await caller.tell(CREATE)
        await caller.until("response.done", 2)
        await caller.say(QUESTION)
        await caller.until("response.done", 3)
    told = [[tool["function"]["name"] for tool in one.body.get("tools", ())] for one in stage.llm.requests]
    assert "get_weather" in told[0]
    assert "get_weather" not in told[1]
    assert "get_weather" not in told[2]
    assert "sun" in str(stage.llm.requests[1].messages)


@in_virtual_time
async def test_a_response_keeps_its_own_terms_behind_the_agents_own_tool_and_the_next_has_none_of_them() -> None:
    sum_of = Reply(tool_calls=[ToolCall("calculate", ('{"expression": "6*7"}',))])
    async with talking(replies=(sum_of, "Forty two.", sum_of, "Again.")) as (caller, stage):
        for number, terms in enumerate(({"instructions": "Say it in one word.", "max_output_tokens": 33}, {}), 1):
            await caller.tell({**CREATE, "response": terms})
            done = (await caller.until("response.done", number))["response"]
            assert done["status"] == "completed"
    assert len(stage.llm.requests) == 4
    instructions = [request.messages[0]["content"] for request in stage.llm.requests]
    assert instructions[:2] == ["Say it in one word."] * 2
    assert instructions[2] == instructions[3] != instructions[0]
    bounds = [request.body["max_tokens"] for request in stage.llm.requests]
    assert bounds[:2] == [33, 33]
    assert min(bounds[2:]) > 33


@in_virtual_time
async def test_an_output_that_comes_before_its_call_waits_for_it_is_what_the_call_gives() -> None:
    calls = ClientCalls()
    [tool] = calls.tools([FunctionTool.model_validate(WEATHER)])
    context = LLMContext()
    wanted = [FunctionCallFromLLM("get_weather", call_id, {}, context) for call_id in ("call_1", "call_2")]
    calls.begin(FunctionCallsStartedFrame(wanted))
    calls.answer("call_1", "sun")
    assert not calls.asks
    calls.answer("call_2", "rain")
    assert calls.hand_on()
    for call_id, output in (("call_1", "sun"), ("call_2", "rain")):
        CALL_ID.set(call_id)
        assert await asyncio.wait_for(tool.run(GivenArguments()), 1) == output
        with pytest.raises(RealtimeProblem, match="no call"):
            calls.answer(call_id, "again")
    assert not calls.are_open
