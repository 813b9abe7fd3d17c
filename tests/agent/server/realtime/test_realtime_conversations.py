"""Conversations by the Realtime protocol: openai-python's client, the real application, scripted engines."""

import asyncio
import base64
from typing import Any

import numpy as np
import pytest

from agent.server.realtime.sound import ALAW, ULAW
from tests.agent.server.realtime.order import in_order, told_of
from tests.agent.server.realtime.stage import MANUAL, TRANSCRIBED, staged, talking
from tests.support.house import SPEECH
from tests.support.realtime_caller import RATE_HZ, RealtimeCaller, calling_realtime
from tests.support.scripted_engines import WORD_SECS
from tests.support.scripted_llm import Reply, ToolCall
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

LONG_REPLY = "One two three four five six seven eight nine ten eleven twelve."
QUESTION = load_recording(SPEECH / "capital_of_germany.wav").audio_s16
STOP = load_recording(SPEECH / "stop.wav").audio_s16
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@in_virtual_time
async def test_two_spoken_turns_are_answered_in_speech_with_every_event_in_the_order_of_the_table() -> None:
    replies = ("The capital is Berlin.", "You are welcome.")
    async with talking("what is the capital of germany", "thank you", replies=replies) as (caller, stage):
        await caller.update(audio=TRANSCRIBED)
        for turn in (1, 2):
            await caller.say(QUESTION)
            await caller.until("response.done", turn)
        history = [(message["role"], message["content"]) for message in stage.history()]
    assert history == [
        ("user", "what is the capital of germany"),
        ("assistant", "The capital is Berlin."),
        ("user", "thank you"),
        ("assistant", "You are welcome."),
    ]
    assert caller.named("error") == []
    for done, reply in zip(caller.named("response.done"), replies, strict=True):
        response = done["response"]
        assert (response["status"], response["output"][0]["status"]) == ("completed", "completed")
        assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": reply}]
        types = told_of(caller.events, response["id"])
        assert types == in_order(types)
        # Words of a quarter of a second; a sine is below the threshold near its zeros.
        loud_secs = (np.abs(caller.heard_s16(response["id"]).astype(int)) > 1000).sum() / RATE_HZ
        assert loud_secs == pytest.approx(len(reply.split()) * WORD_SECS, rel=0.08)
    first = caller.types().index("input_audio_buffer.speech_started")
    assert caller.types()[first : first + 8] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
    ]
    texts = [one["transcript"] for one in caller.named("conversation.item.input_audio_transcription.completed")]
    assert texts == ["what is the capital of germany", "thank you"]
    # Sound is dated by its samples, however fast it comes: the second turn begins as far behind the first one as the
    # recording and its silence are long, but for 0.1 s that may be heard at once, and some windows of voice activity.
    starts_ms = [one["audio_start_ms"] for one in caller.named("input_audio_buffer.speech_started")]
    apart_secs = len(QUESTION) / 16_000 + 2.0
    assert starts_ms[1] - starts_ms[0] == pytest.approx(apart_secs * 1000, abs=300)


@in_virtual_time
async def test_nothing_of_a_reply_comes_after_the_response_that_a_barge_in_cut() -> None:
    async with talking("count please", "stop", replies=(LONG_REPLY, "Fine.")) as (caller, stage):
        await caller.say(QUESTION)
        await caller.until("response.output_audio.delta", 50)
        await caller.say(STOP)
        cut = (await caller.until("response.done"))["response"]
        await caller.until("response.done", 2)
        history = stage.history()
    assert (cut["status"], cut["status_details"]) == ("cancelled", {"type": "cancelled", "reason": "turn_detected"})
    item = cut["output"][0]
    heard = item["content"][0]["transcript"].split()
    assert item["status"] == "incomplete"
    assert 1 <= len(heard) < len(LONG_REPLY.split())
    assert heard == LONG_REPLY.split()[: len(heard)]
    assert history[1]["content"].split() == heard
    assert (told := told_of(caller.events, cut["id"])) == in_order(told)
    done_at = next(at for at, one in enumerate(caller.events) if one["type"] == "response.done")
    assert [one["type"] for one in caller.events[done_at + 1 :] if one.get("response_id") == cut["id"]] == []
    assert caller.named("response.done")[1]["response"]["output"][0]["content"][0]["transcript"] == "Fine."


@in_virtual_time
async def test_what_a_client_has_really_played_stands_in_the_history() -> None:
    async with talking("count please", "stop", replies=(LONG_REPLY, "Fine.")) as (caller, stage):
        await caller.say(QUESTION)
        await caller.until("response.output_audio.delta", 80)
        await caller.say(STOP, silence_secs=0.5)
        cut = (await caller.until("response.done"))["response"]["output"][0]
        truncate = {"type": "conversation.item.truncate", "item_id": cut["id"], "content_index": 0}
        await caller.tell({**truncate, "audio_end_ms": 60_000, "event_id": "too_long"})
        problem = (await caller.until("error"))["error"]
        await caller.tell({**truncate, "audio_end_ms": 600})
        truncated = await caller.until("conversation.item.truncated")
        await caller.tell({"type": "conversation.item.retrieve", "item_id": cut["id"]})
        retrieved = await caller.until("conversation.item.retrieved")
        history = stage.history()
    assert (problem["event_id"], problem["param"]) == ("too_long", "audio_end_ms")
    assert truncated["audio_end_ms"] == 600
    # A word counts from its half on: at 125, 375 and 625 ms.
    assert retrieved["item"]["content"] == [{"type": "output_audio", "transcript": "One two"}]
    assert history[1]["content"] == "One two"


@in_virtual_time
async def test_a_client_that_detects_turns_itself_commits_them_and_asks_for_responses() -> None:
    async with talking("what is the capital of germany", replies=("Berlin.",)) as (caller, stage):
        await caller.update(audio=MANUAL)
        await caller.tell({"type": "input_audio_buffer.commit", "event_id": "nothing"})
        assert (await caller.until("error"))["error"]["code"] == "input_audio_buffer_commit_empty"
        await caller.say(STOP)
        await caller.tell({"type": "input_audio_buffer.clear"})
        await caller.until("input_audio_buffer.cleared")
        await caller.say(QUESTION, silence_secs=0.0)
        await caller.tell({"type": "input_audio_buffer.commit"})
        completed = await caller.until("conversation.item.input_audio_transcription.completed")
        assert stage.llm.requests == []
        metadata = {"client_event_id": "mine"}
        wanted = {"instructions": "Answer in one word.", "metadata": metadata}
        await caller.tell({"type": "response.create", "response": wanted})
        created = (await caller.until("response.created"))["response"]
        done = (await caller.until("response.done"))["response"]
    assert completed["transcript"] == "what is the capital of germany"
    assert created["metadata"] == metadata
    assert (done["id"], done["status"], done["metadata"]) == (created["id"], "completed", metadata)
    assert stage.llm.requests[0].messages == [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": "what is the capital of germany"},
    ]
    # The key that is pressed for a turn is heard whole: the recording and its tail.
    assert stage.stt.heard_bytes[0] / 2 / 16_000 == pytest.approx(len(QUESTION) / 16_000, abs=0.5)
    assert "input_audio_buffer.speech_started" not in caller.types()


@in_virtual_time
async def test_a_response_that_is_asked_for_at_once_waits_for_what_was_committed_before_it() -> None:
    async with talking("what is the capital of germany", replies=("Berlin.",)) as (caller, stage):
        await caller.update(audio=MANUAL)
        await caller.say(QUESTION, silence_secs=0.0)
        await caller.tell({"type": "input_audio_buffer.commit"})
        await caller.tell({"type": "response.create"})
        done = (await caller.until("response.done"))["response"]
    assert done["status"] == "completed"
    assert stage.llm.requests[0].messages[-1]["content"] == "what is the capital of germany"


@in_virtual_time
async def test_typed_items_are_answered_in_text_and_deleted_ones_are_forgotten() -> None:
    async with talking(replies=("Hello **Ann**.", "Ann.")) as (caller, stage):
        await caller.update(output_modalities=["text"], instructions="Be brief.")
        texts = {"a": "I am Ann", "b": "Never mind"}
        for item_id, text in texts.items():
            content = [{"type": "input_text", "text": text}]
            item = {"id": item_id, "type": "message", "role": "user", "content": content}
            await caller.tell({"type": "conversation.item.create", "item": item})
        await caller.until("conversation.item.done", 2)
        await caller.tell({"type": "conversation.item.delete", "item_id": "b"})
        await caller.until("conversation.item.deleted")
        await caller.tell({"type": "response.create"})
        done = (await caller.until("response.done"))["response"]
        await caller.tell({"type": "conversation.item.retrieve", "item_id": "b", "event_id": "gone"})
        assert (await caller.until("error"))["error"]["code"] == "item_not_found"
        history = [(message["role"], message["content"]) for message in stage.history()]
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "Hello **Ann**."}]
    assert "".join(one["delta"] for one in caller.named("response.output_text.delta")) == "Hello **Ann**."
    assert (told := told_of(caller.events, done["id"])) == in_order(told)
    assert caller.named("response.output_audio.delta") == []
    assert stage.llm.requests[0].messages[0] == {"role": "system", "content": "Be brief."}
    assert history == [("user", "I am Ann"), ("assistant", "Hello **Ann**.")]


@in_virtual_time
async def test_a_response_that_its_client_cancels_says_nothing_more() -> None:
    async with talking(replies=(LONG_REPLY, "Fine.")) as (caller, _):
        await caller.tell({"type": "response.cancel", "event_id": "early"})
        assert (await caller.until("error"))["error"]["code"] == "response_cancel_not_active"
        await caller.tell({"type": "response.create"})
        await caller.until("response.output_audio.delta", 20)
        await caller.tell({"type": "response.create", "event_id": "second"})
        assert (await caller.until("error", 2))["error"]["code"] == "conversation_already_has_active_response"
        await caller.tell({"type": "response.cancel"})
        cut = (await caller.until("response.done"))["response"]
        await asyncio.sleep(2)
        last = caller.events[-1]["type"]
        await caller.tell({"type": "response.create"})
        again = await caller.until("response.done", 2)
    assert (cut["status"], cut["status_details"]["reason"]) == ("cancelled", "client_cancelled")
    assert last == "response.done"
    assert again["response"]["status"] == "completed"


def weather_call(call_id: str = "call_1", name: str = "get_weather") -> Reply:
    return Reply(tool_calls=[ToolCall(name, ('{"city": ', '"Oslo"}'), call_id)])


async def answered_call(caller: RealtimeCaller) -> dict[str, Any]:
    """The item of the call that the client is to do."""
    done = (await caller.until("response.done"))["response"]
    [item] = done["output"]
    assert (told := told_of(caller.events, done["id"])) == in_order(told)
    assert (item["type"], item["name"], item["status"]) == ("function_call", "get_weather", "completed")
    return item


@in_virtual_time
async def test_a_function_of_the_clients_is_called_by_our_model_and_its_result_is_spoken_of() -> None:
    async with talking("how is the weather in oslo", replies=(weather_call(), "It snows.")) as (caller, stage):
        await caller.update(tools=[WEATHER])
        await caller.say(QUESTION)
        item = await answered_call(caller)
        assert item["arguments"].replace(" ", "") == '{"city":"Oslo"}'
        output = {"type": "function_call_output", "call_id": item["call_id"], "output": '{"sky": "snow"}'}
        await caller.tell({"type": "conversation.item.create", "item": output})
        await asyncio.sleep(1)
        n_asked = len(stage.llm.requests)
        await caller.tell({"type": "response.create"})
        done = (await caller.until("response.done", 2))["response"]
        history = stage.history()
    # The client says when.
    assert n_asked == 1
    assert done["output"][0]["content"][0]["transcript"] == "It snows."
    [told] = stage.llm.requests[0].body["tools"]
    assert (told["function"]["name"], told["function"]["parameters"]) == ("get_weather", WEATHER["parameters"])
    assert [message["role"] for message in history] == ["user", "assistant", "tool", "assistant"]
    assert "snow" in history[2]["content"]
    assert caller.named("error") == []


@in_virtual_time
async def test_a_result_that_comes_after_the_user_has_spoken_is_known_all_the_same() -> None:
    replies = (weather_call(), "One moment.", "It snows.")
    async with talking("how is the weather in oslo", "hurry up please", replies=replies) as (caller, stage):
        await caller.update(tools=[WEATHER])
        await caller.say(QUESTION)
        item = await answered_call(caller)
        await caller.say(QUESTION)
        await caller.until("response.done", 2)
        output = {"type": "function_call_output", "call_id": item["call_id"], "output": "snow"}
        await caller.tell({"type": "conversation.item.create", "item": output})
        await caller.tell({"type": "response.create"})
        done = (await caller.until("response.done", 3))["response"]
    assert done["output"][0]["content"][0]["transcript"] == "It snows."
    assert any("snow" in str(message.get("content")) for message in stage.llm.requests[-1].messages)


@in_virtual_time
async def test_a_session_that_is_changed_while_the_agent_speaks_is_another_one_from_the_next_turn_on() -> None:
    replies = (LONG_REPLY, weather_call())
    async with talking("count please", "the weather", replies=replies) as (caller, stage):
        await caller.say(QUESTION)
        await caller.until("response.output_audio.delta", 20)
        session = await caller.update(tools=[WEATHER], instructions="Use tools.")
        done = (await caller.until("response.done"))["response"]
        await caller.say(QUESTION)
        await caller.until("response.done", 2)
        history = stage.history()
    assert session["tools"][0]["name"] == "get_weather"
    assert done["output"][0]["content"][0]["transcript"] == LONG_REPLY
    assert stage.llm.requests[1].messages[0]["content"] == "Use tools."
    assert stage.llm.requests[1].body["tools"][0]["function"]["name"] == "get_weather"
    assert history[1]["content"] == LONG_REPLY


@in_virtual_time
async def test_the_engines_of_a_session_are_kept_for_it_before_its_conversation_begins() -> None:
    async with staged() as stage:
        async with calling_realtime(stage.url) as caller:
            for speed in (1.25, 1.5):
                await caller.update(audio={"output": {"speed": speed}})
            # Those of its place, and those that are wanted now.
            assert len(stage.live.engines.in_use) == 2
            assert not stage.has_begun()
        while stage.n_active():
            await asyncio.sleep(0.05)
        assert stage.live.engines.in_use == []


@in_virtual_time
async def test_a_dropped_line_ends_the_session_and_leaves_its_place_to_the_next() -> None:
    async with staged("hello", replies=(LONG_REPLY,)) as stage:
        async with calling_realtime(stage.url) as caller, calling_realtime(stage.url):
            with pytest.raises(Exception, match="429"):
                async with calling_realtime(stage.url):
                    pass
            await caller.say(QUESTION)
            await caller.until("response.output_audio.delta", 10)
            await caller.drop()
        async with asyncio.timeout(30):
            while stage.n_active():
                await asyncio.sleep(0.05)
        async with calling_realtime(stage.url) as caller:
            assert caller.events[0]["type"] == "session.created"


@in_virtual_time
async def test_a_transcription_session_is_told_what_was_said_and_answers_nothing() -> None:
    heard = ("what is the capital of germany", "thank you")
    async with talking(*heard, query={"intent": "transcription"}) as (caller, stage):
        created = caller.events[0]["session"]
        transcription = {"model": "gpt-4o-transcribe", "language": "en"}
        detection = {"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 350, "prefix_padding_ms": 600}
        audio = {"input": {"format": {"type": "audio/pcm", "rate": 24_000}, "turn_detection": detection}}
        audio["input"]["transcription"] = transcription
        session = {"type": "transcription", "audio": audio}
        await caller.tell({"type": "session.update", "session": session})
        await caller.until("session.updated")
        for turn in (1, 2):
            await caller.say(QUESTION)
            await caller.until("conversation.item.input_audio_transcription.completed", turn)
        await caller.tell({"type": "response.create", "event_id": "none"})
        await caller.until("error")
    assert created["type"] == "transcription"
    texts = [one["transcript"] for one in caller.named("conversation.item.input_audio_transcription.completed")]
    assert tuple(texts) == heard
    assert stage.llm.requests == []
    assert not any(type_.startswith("response.") for type_ in caller.types())


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_a_telephones_sound_is_taken_and_given(kind: str) -> None:
    @in_virtual_time
    async def talk() -> None:
        async with talking("hello", replies=("The capital is Berlin.",)) as (caller, stage):
            form = {"type": kind}
            await caller.update(audio={"input": {"format": form}, "output": {"format": form}})
            law = ULAW if kind == "audio/pcmu" else ALAW
            coded = law.encode(np.concatenate([QUESTION[::2], np.zeros(16_000, np.int16)]))
            for start in range(0, len(coded), 800):
                piece = base64.b64encode(coded[start : start + 800]).decode()
                await caller.connection.input_audio_buffer.append(audio=piece)
            done = (await caller.until("response.done"))["response"]
            deltas = [base64.b64decode(one["delta"]) for one in caller.named("response.output_audio.delta")]
            assert done["status"] == "completed"
            assert stage.stt.said == ["hello"]
            heard_s16 = law.decode(b"".join(deltas))
        # Four words of a quarter of a second, at 8 kHz, half of full scale.
        assert len(heard_s16) / 8_000 == pytest.approx(4 * WORD_SECS, abs=0.05)
        assert np.abs(heard_s16.astype(int)).max() == pytest.approx(16_000, rel=0.06)

    talk()
