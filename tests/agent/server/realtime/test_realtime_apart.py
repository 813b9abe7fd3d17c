"""Responses of no conversation: answered beside it, several at once, without a trace in it."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import Frame
from starlette.types import Message as SocketEvent

from agent.conversation.typed_question import frames_of
from agent.server.calls.plans import SessionRequest
from agent.server.realtime import apart
from agent.server.realtime.connection import RealtimeConnection
from agent.server.realtime.session_config import SessionConfig
from tests.agent.server.realtime.stage import TRANSCRIBED, staged, talking
from tests.agent.server.realtime.test_realtime_conversations import WEATHER, weather_call
from tests.support.house import SPEECH
from tests.support.realtime_caller import RATE_HZ, RealtimeCaller, calling_realtime
from tests.support.scripted_engines import WORD_SECS
from tests.support.scripted_llm import Failure, Hang, Reply
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

QUESTION = load_recording(SPEECH / "capital_of_germany.wav").audio_s16
LONG_REPLY = "One two three four five six seven eight nine ten eleven twelve."
TEXT = ["text"]
ROOMY = {"server.max_chats": 10, "server.max_speeches": 10}


def message(text: str, role: str = "user") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


async def ask_apart(caller: RealtimeCaller, topic: str, **response: Any) -> None:
    wanted = {"conversation": "none", "metadata": {"topic": topic}, **response}
    await caller.tell({"type": "response.create", "event_id": topic, "response": wanted})


def done_of(caller: RealtimeCaller, topic: str) -> dict[str, Any]:
    done = [one["response"] for one in caller.named("response.done")]
    [response] = [one for one in done if one["metadata"] == {"topic": topic}]
    return response


@in_virtual_time
async def test_a_response_apart_answers_what_it_is_given_while_the_agent_speaks() -> None:
    async with talking("count please", replies=(LONG_REPLY, "Numbers.")) as (caller, stage):
        await caller.update(audio=TRANSCRIBED)
        await caller.say(QUESTION)
        await caller.until("response.output_audio.delta", 20)
        said = caller.named("conversation.item.added")[0]["item"]["id"]
        given = [{"type": "item_reference", "id": said}, message("What is this about?"), message("One word.", "system")]
        await ask_apart(caller, "about", input=given, instructions="Classify.", output_modalities=TEXT)
        await caller.until("response.done", 2)
        history = [(one["role"], one["content"]) for one in stage.history()]
    assert caller.named("error") == []
    apart, [spoken] = done_of(caller, "about"), [one for one in dones(caller) if one["metadata"] is None]
    assert (apart["status"], apart["conversation_id"]) == ("completed", None)
    assert apart["output"][0]["content"] == [{"type": "output_text", "text": "Numbers."}]
    # It is over first, and cut nothing.
    assert [one["id"] for one in dones(caller)] == [apart["id"], spoken["id"]]
    assert spoken["output"][0]["content"][0]["transcript"] == LONG_REPLY
    assert history == [("user", "count please"), ("assistant", LONG_REPLY)]
    first, *asked = stage.llm.requests[1].messages
    assert first == {"role": "system", "content": "Classify."}
    assert {one["role"] for one in asked} == {"user"}
    told = "\n".join(one["content"] for one in asked)
    places = [told.index(words) for words in ("count please", "What is this about?", "One word.")]
    assert places == sorted(places)
    own = [one["item"]["id"] for one in caller.named("conversation.item.added")]
    assert apart["output"][0]["id"] not in own


def dones(caller: RealtimeCaller) -> list[dict[str, Any]]:
    return [one["response"] for one in caller.named("response.done")]


@in_virtual_time
async def test_a_response_apart_that_is_heard_comes_with_its_words_and_its_sound() -> None:
    async with talking(replies=("Hello there, Ann.",)) as (caller, stage):
        await ask_apart(caller, "hello", input=[], instructions="Greet Ann.")
        done = (await caller.until("response.done"))["response"]
        # Nothing of the conversation has begun for it.
        assert not stage.has_begun()
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "Hello there, Ann."}]
    loud_secs = (np.abs(caller.heard_s16(done["id"]).astype(int)) > 1000).sum() / RATE_HZ
    assert loud_secs == pytest.approx(3 * WORD_SECS, rel=0.08)
    # Where nothing is given, what is to be done is all that there is to answer.
    assert stage.llm.requests[0].messages[-1] == {"role": "user", "content": "Greet Ann."}
    assert done["usage"]["input_tokens"] == 7


@in_virtual_time
async def test_without_input_a_response_apart_answers_the_conversation() -> None:
    async with talking(replies=("About Ann.",)) as (caller, stage):
        await caller.tell({"type": "conversation.item.create", "item": message("I am Ann")})
        await caller.until("conversation.item.done")
        await ask_apart(caller, "sum", output_modalities=TEXT, instructions="Sum it up.", max_output_tokens=20)
        await caller.until("response.done")
    assert stage.llm.requests[0].messages == [
        {"role": "system", "content": "Sum it up."},
        {"role": "user", "content": TYPED.format("I am Ann")},
    ]
    assert stage.llm.requests[0].body["max_tokens"] == 20


TYPED = "{}\n\n(I typed this and will read the answer: Markdown, lists and code are welcome.)"


@in_virtual_time
async def test_a_function_that_a_response_apart_calls_is_told_and_its_output_given_with_the_next() -> None:
    async with talking(replies=(weather_call(), "It snows.")) as (caller, stage):
        question = message("Weather in Oslo?")
        await ask_apart(caller, "call", input=[question], tools=[WEATHER], output_modalities=TEXT)
        [call] = (await caller.until("response.done"))["response"]["output"]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": '"snow"'}
        told = {key: call[key] for key in ("type", "call_id", "name", "arguments")}
        await ask_apart(caller, "answer", input=[question, told, output], output_modalities=TEXT)
        done = (await caller.until("response.done", 2))["response"]
    assert (call["name"], call["status"]) == ("get_weather", "completed")
    assert done["output"][0]["content"][0]["text"] == "It snows."
    assert [tool["function"]["name"] for tool in stage.llm.requests[0].body["tools"]] == ["get_weather"]
    assert "tools" not in stage.llm.requests[1].body
    assert "snow" in str(stage.llm.requests[1].messages)
    assert caller.named("conversation.item.added") == []


@in_virtual_time
async def test_of_several_responses_apart_one_is_cancelled_by_its_id_and_the_others_go_on() -> None:
    slow = Reply("Slowly", *[" done."] * 10, delay_secs=0.2, first_delay_secs=1.0)
    async with talking(replies=(slow, Hang(), slow)) as (caller, stage):
        for topic in ("a", "b", "c"):
            await ask_apart(caller, topic, input=[message(topic)], output_modalities=TEXT)
            await stage.llm.asked(ord(topic) - ord("a") + 1)
        created = {
            one["response"]["metadata"]["topic"]: one["response"]["id"] for one in caller.named("response.created")
        }
        await caller.tell({"type": "response.cancel", "response_id": created["b"]})
        await caller.until("response.done", 3)
        await asyncio.wait_for(stage.llm.requests[1].closed_by_client.wait(), 60)
        await caller.tell({"type": "response.cancel", "response_id": created["b"], "event_id": "late"})
        late = (await caller.until("error"))["error"]
    assert done_of(caller, "b")["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    for topic in ("a", "c"):
        assert done_of(caller, topic)["output"][0]["content"] == [
            {"type": "output_text", "text": f"Slowly{' done.' * 10}"}
        ]
    assert (late["code"], late["event_id"]) == ("response_cancel_not_active", "late")


@in_virtual_time
async def test_a_model_that_fails_apart_fails_that_response_alone() -> None:
    async with talking("hello", replies=(Failure(500, "broken"), "Hello.")) as (caller, _):
        await ask_apart(caller, "bad", input=[message("a")])
        failed = (await caller.until("response.done"))["response"]
        await caller.say(QUESTION)
        done = (await caller.until("response.done", 2))["response"]
    assert (failed["status"], failed["status_details"]["error"]["code"]) == ("failed", "llm_failed")
    assert (done["status"], done["output"][0]["content"][0]["transcript"]) == ("completed", "Hello.")


@in_virtual_time
async def test_what_a_response_apart_cannot_be_given_is_refused_by_name() -> None:
    many = [message("a")] * 2_001
    refused = {
        "conversation": {"conversation": "conv_2"},
        "input": {"input": many},
        "input[0]": {"input": ["words"]},
        "input[1].id": {"input": [message("a"), {"type": "item_reference", "id": "none"}]},
        "input[0].type": {"input": [{"type": "mcp_call"}]},
        "input[0].role": {"input": [{"type": "message", "role": "judge", "content": []}]},
        "input[0].call_id": {"input": [{"type": "function_call_output", "call_id": "none", "output": ""}]},
        "prompt": {"prompt": {"id": "p"}},
        "output_modalities": {"output_modalities": ["smell"]},
    }
    async with talking() as (caller, stage):
        for count, (field, wanted) in enumerate(refused.items(), 1):
            await ask_apart(caller, field, **wanted)
            error = (await caller.until("error", count))["error"]
            assert (error["event_id"], error["param"].split(".0")[0]) == (field, f"response.{field}")
        own = {"type": "response.create", "response": {"input": [message("a")]}}
        await caller.tell(own)
        assert (await caller.until("error", len(refused) + 1))["error"]["param"] == "response.input"
    assert stage.llm.requests == []
    assert caller.named("response.created") == []


@in_virtual_time
async def test_no_more_than_eight_responses_apart_are_under_way_and_none_outlives_its_client() -> None:
    async with staged(replies=(Hang(),) * 8, **ROOMY) as stage, calling_realtime(stage.url) as caller:
        for number in range(9):
            await ask_apart(caller, str(number), input=[message("a")])
        error = (await caller.until("error"))["error"]
        await stage.llm.asked(8)
        requests = list(stage.llm.requests)
        await caller.drop()
        for request in requests:
            await asyncio.wait_for(request.closed_by_client.wait(), 60)
    assert (error["code"], error["event_id"]) == ("rate_limit_exceeded", "8")


@in_virtual_time
async def test_a_response_apart_that_is_cancelled_counts_until_nothing_of_it_works_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_go = asyncio.Event()

    async def slow_to_stop(*wanted: Any, **options: Any) -> AsyncGenerator[Frame, None]:
        # A busy machine.
        try:
            async with aclosing(frames_of(*wanted, **options)) as frames:
                async for frame in frames:
                    yield frame
        finally:
            await let_go.wait()

    monkeypatch.setattr(apart, "frames_of", slow_to_stop)
    async with staged(replies=(*(Hang(),) * 8, "Hello."), **ROOMY) as stage, calling_realtime(stage.url) as caller:
        for number in range(8):
            await ask_apart(caller, str(number), input=[message("a")], output_modalities=TEXT)
        await stage.llm.asked(8)
        for one in caller.named("response.created"):
            await caller.tell({"type": "response.cancel", "response_id": one["response"]["id"]})
        await caller.until("response.done", 8)
        await ask_apart(caller, "ninth", input=[message("a")], output_modalities=TEXT)
        refused = (await caller.until("error"))["error"]
        again = caller.named("response.created")[0]["response"]["id"]
        await caller.tell({"type": "response.cancel", "response_id": again})
        gone = (await caller.until("error", 2))["error"]
        let_go.set()
        await asyncio.sleep(10)
        await ask_apart(caller, "tenth", input=[message("a")], output_modalities=TEXT)
        done = (await caller.until("response.done", 9))["response"]
    assert (refused["code"], refused["event_id"]) == ("rate_limit_exceeded", "ninth")
    assert gone["code"] == "response_cancel_not_active"
    assert (done["status"], done["metadata"]) == ("completed", {"topic": "tenth"})


@pytest.mark.parametrize(("setting", "modality"), [("server.max_chats", "text"), ("server.max_speeches", "audio")])
def test_responses_apart_take_the_places_of_other_doors_and_give_them_back(setting: str, modality: str) -> None:
    @in_virtual_time
    async def take_them() -> None:
        async with (
            staged(replies=(Hang(), "Hello."), **{**ROOMY, setting: 1}) as stage,
            calling_realtime(stage.url) as caller,
        ):
            for topic in ("first", "second"):
                await ask_apart(caller, topic, input=[message("a")], output_modalities=[modality])
            error = (await caller.until("error"))["error"]
            assert (error["code"], error["event_id"]) == ("rate_limit_exceeded", "second")
            assert setting in error["message"]
            [first] = caller.named("response.created")
            await stage.llm.asked(1)
            await caller.tell({"type": "response.cancel", "response_id": first["response"]["id"]})
            await asyncio.sleep(10)
            await ask_apart(caller, "third", input=[message("a")], output_modalities=[modality])
            done = (await caller.until("response.done", 2))["response"]
            assert (done["status"], done["metadata"]) == ("completed", {"topic": "third"})

    take_them()


class SlowClient:
    """At the edge: takes in so much a second, as over an ordinary link, and says what it is told to say."""

    def __init__(self, *said: dict[str, Any], bytes_per_sec: float) -> None:
        self.heard: list[dict[str, Any]] = []
        self.has_heard_all = asyncio.Event()
        self._said = list(said)
        self._secs_per_byte = 1 / bytes_per_sec

    async def receive(self) -> SocketEvent:
        if self._said:
            return {"type": "websocket.receive", "text": json.dumps(self._said.pop(0))}
        await self.has_heard_all.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send_text(self, data: str) -> None:
        await asyncio.sleep(len(data) * self._secs_per_byte)
        self.heard.append(json.loads(data))
        if self.heard[-1]["type"] == "response.done":
            self.has_heard_all.set()

    async def send_bytes(self, data: bytes) -> None:
        raise AssertionError(f"{len(data)} bytes")

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        self.heard.append({"type": "closed", "reason": reason})
        self.has_heard_all.set()


@in_virtual_time
async def test_a_long_response_apart_that_is_heard_waits_for_a_client_on_a_slow_link() -> None:
    wanted = {"conversation": "none", "input": [message("a")]}
    async with staged(replies=(" ".join([LONG_REPLY] * 8),)) as stage:
        # All of it is 24 s of sound, which this link takes half as long for.
        client = SlowClient({"type": "response.create", "response": wanted}, bytes_per_sec=128_000)
        async with stage.live.planned(SessionRequest()) as plan:
            ending = await RealtimeConnection(client, stage.live, plan, SessionConfig()).run()
    assert ending == "the client left"
    done = client.heard[-1]
    assert (done["type"], done["response"]["status"]) == ("response.done", "completed")
    sent = sum(len(one["delta"]) for one in client.heard if one["type"] == "response.output_audio.delta")
    assert sent > 1_000_000
