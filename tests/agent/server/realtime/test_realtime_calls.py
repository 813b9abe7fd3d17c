"""Conversations by the Realtime protocol over WebRTC: aiortc's peer, the real application, scripted engines."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import httpx
import pytest
from aiortc import rtcrtpreceiver

from tests.agent.server.realtime.order import in_order, told_of
from tests.agent.server.realtime.stage import TRANSCRIBED, Stage, staged
from tests.agent.server.realtime.test_realtime_conversations import (
    LONG_REPLY,
    QUESTION,
    STOP,
    WEATHER,
)
from tests.support.realtime_peer import RealtimePeer, call_realtime
from tests.support.scripted_engines import WORD_SECS
from tests.support.scripted_llm import Reply, ToolCall
from tests.support.virtual_time import in_virtual_time

PLAYED = ("output_audio_buffer.started", "output_audio_buffer.stopped", "output_audio_buffer.cleared")
HEARD_HZ = 48_000


def played(peer: RealtimePeer) -> list[tuple[str, str]]:
    """When what was heard began and ended, with the response that it was."""
    return [(one["type"], one["response_id"]) for one in peer.events if one["type"] in PLAYED]


async def until_ended(stage: Stage) -> None:
    """Wait until no conversation is held."""
    async with asyncio.timeout(60):
        while stage.n_active():
            await asyncio.sleep(0.1)


@in_virtual_time
async def test_two_spoken_turns_over_webrtc_are_heard_on_the_track_and_told_in_events() -> None:
    replies = ("The capital is Berlin.", "You are welcome.")
    async with staged("what is the capital of germany", "thank you", replies=replies) as stage:
        async with call_realtime(stage.url, audio=TRANSCRIBED) as peer:
            for turn in (1, 2):
                peer.say(QUESTION)
                await peer.until("output_audio_buffer.stopped", turn)
            # What is under way, and waits for its time in the peer.
            await asyncio.sleep(0.5)
            history = [(message["role"], message["content"]) for message in stage.history()]
        await until_ended(stage)
    assert history == [
        ("user", "what is the capital of germany"),
        ("assistant", "The capital is Berlin."),
        ("user", "thank you"),
        ("assistant", "You are welcome."),
    ]
    assert peer.named("error") == []
    assert peer.named("response.output_audio.delta") == []
    ids = [done["response"]["id"] for done in peer.named("response.done")]
    assert played(peer) == [(type_, response_id) for response_id in ids for type_ in PLAYED[:2]]
    for response_id, reply in zip(ids, replies, strict=True):
        types = told_of(peer.events, response_id)
        assert types == with_played(in_order([one for one in types if one not in PLAYED]))
        done = next(one["response"] for one in peer.named("response.done") if one["response"]["id"] == response_id)
        assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": reply}]
    # Words of a quarter of a second, seven in all; a sine is below the threshold near its zeros.
    loud_secs = peer.loud_samples / HEARD_HZ
    assert loud_secs == pytest.approx(sum(len(reply.split()) for reply in replies) * WORD_SECS, rel=0.06)
    texts = [one["transcript"] for one in peer.named("conversation.item.input_audio_transcription.completed")]
    assert texts == ["what is the capital of germany", "thank you"]


def with_played(types: list[str]) -> list[str]:
    """A response's events with those of what is heard of it: it begins behind its part, and ends behind all."""
    at = types.index("response.content_part.added") + 1
    return [*types[:at], PLAYED[0], *types[at:], PLAYED[1]]


@in_virtual_time
async def test_what_a_peer_hears_waits_for_no_thread_that_the_clock_does_not_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deaf = SimpleNamespace(decode=lambda _: [])
    monkeypatch.setattr(rtcrtpreceiver, "get_decoder", lambda _: deaf)
    async with staged("thank you", replies=("You are welcome.",)) as stage, call_realtime(stage.url) as peer:
        peer.say(QUESTION)
        await peer.until("output_audio_buffer.stopped")
        # What is under way, and waits for its time in the peer.
        await asyncio.sleep(0.5)
    assert peer.loud_samples / HEARD_HZ == pytest.approx(3 * WORD_SECS, rel=0.06)


@in_virtual_time
async def test_a_barge_in_over_webrtc_is_truncated_by_the_server_to_what_the_peer_was_played() -> None:
    async with (
        staged("count please", "stop", replies=(LONG_REPLY, "Fine.")) as stage,
        call_realtime(stage.url) as peer,
    ):
        peer.say(QUESTION)
        await peer.until("response.output_audio_transcript.delta", 4)
        peer.say(STOP)
        cut = (await peer.until("response.done"))["response"]
        truncated = await peer.until("conversation.item.truncated")
        await peer.until("output_audio_buffer.stopped")
        item = cut["output"][0]["id"]
        # A client that truncates all the same agrees, as far as it goes.
        peer.tell({"type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": 60_000})
        problem = (await peer.until("error"))["error"]
        history = stage.history()
        heard = history[1]["content"].split()
        again = {"type": "conversation.item.truncate", "item_id": item, "content_index": 0}
        peer.tell({**again, "audio_end_ms": truncated["audio_end_ms"]})
        await peer.until("conversation.item.truncated", 2)
        assert stage.history()[1]["content"].split() == heard
        peer.tell({**again, "audio_end_ms": 600})
        await peer.until("conversation.item.truncated", 3)
        # A word counts from its half on: at 125, 375 and 625 ms.
        assert stage.history()[1]["content"].split() == LONG_REPLY.split()[:2]
    assert (cut["status"], cut["status_details"]) == ("cancelled", {"type": "cancelled", "reason": "turn_detected"})
    assert 4 <= len(heard) < len(LONG_REPLY.split())
    assert heard == LONG_REPLY.split()[: len(heard)] == cut["output"][0]["content"][0]["transcript"].split()
    assert truncated["item_id"] == item
    # The last word that was heard was half played; where the agent held its breath, no further one was.
    assert truncated["audio_end_ms"] >= (len(heard) - 0.5) * WORD_SECS * 1000
    assert problem["param"] == "audio_end_ms"
    answer = peer.named("response.done")[1]["response"]
    assert answer["output"][0]["content"][0]["transcript"] == "Fine."
    assert played(peer) == [
        (PLAYED[0], cut["id"]),
        (PLAYED[2], cut["id"]),
        (PLAYED[0], answer["id"]),
        (PLAYED[1], answer["id"]),
    ]
    order = [one["type"] for one in peer.events]
    assert order.index(PLAYED[2]) < order.index("response.done") < order.index("conversation.item.truncated")


@in_virtual_time
async def test_a_client_that_clears_what_it_hears_ends_the_response_and_hears_nothing_more() -> None:
    async with (
        staged("count please", "again", replies=(LONG_REPLY, LONG_REPLY)) as stage,
        call_realtime(stage.url) as peer,
    ):
        peer.tell({"type": "output_audio_buffer.clear"})
        for turn, events in enumerate(
            [["output_audio_buffer.clear"], ["response.cancel", "output_audio_buffer.clear"]]
        ):
            peer.say(QUESTION)
            await peer.until("output_audio_buffer.started", turn + 1)
            await asyncio.sleep(1.0)
            for event in events:
                peer.tell({"type": event})
            await peer.until("output_audio_buffer.cleared", turn + 1)
            await peer.until("response.done", turn + 1)
            # What is under way, and waits for its time in the peer.
            await asyncio.sleep(0.5)
            n_loud = peer.loud_samples
            await asyncio.sleep(2.0)
            assert peer.loud_samples == n_loud
    assert peer.named("error") == []
    details = [done["response"]["status_details"] for done in peer.named("response.done")]
    assert details == [{"type": "cancelled", "reason": "client_cancelled"}] * 2
    assert [type_ for type_, _ in played(peer)] == [PLAYED[0], PLAYED[2]] * 2


@in_virtual_time
async def test_a_response_apart_changes_nothing_of_what_is_told_of_the_one_that_sounds() -> None:
    async with (
        staged("count please", replies=(LONG_REPLY, "Numbers.")) as stage,
        call_realtime(stage.url) as peer,
    ):
        peer.say(QUESTION)
        await peer.until("output_audio_buffer.started")
        wanted = {"conversation": "none", "output_modalities": ["text"], "metadata": {"topic": "about"}}
        peer.tell({"type": "response.create", "response": wanted})
        apart = (await peer.until("response.done"))["response"]
        await peer.until("output_audio_buffer.stopped")
        done = (await peer.until("response.done", 2))["response"]
    assert peer.named("error") == []
    assert apart["output"][0]["content"] == [{"type": "output_text", "text": "Numbers."}]
    assert done["output"][0]["content"][0]["transcript"] == LONG_REPLY
    assert played(peer) == [(PLAYED[0], done["id"]), (PLAYED[1], done["id"])]


@in_virtual_time
async def test_a_function_of_a_client_by_webrtc_is_called_and_its_result_spoken() -> None:
    replies = (Reply(tool_calls=[ToolCall("get_weather", '{"city": "Berlin"}')]), "It is sunny.")
    async with (
        staged("how is the weather", replies=replies) as stage,
        call_realtime(stage.url, tools=[WEATHER]) as peer,
    ):
        peer.say(QUESTION)
        call = (await peer.until("response.function_call_arguments.done"))["call_id"]
        await peer.until("response.done")
        output = {"type": "function_call_output", "call_id": call, "output": "sunny"}
        peer.tell({"type": "conversation.item.create", "item": output})
        peer.tell({"type": "response.create"})
        await peer.until("output_audio_buffer.stopped")
        history = stage.history()
    assert peer.named("error") == []
    assert [message["content"] for message in history if message["role"] == "tool"] == ['"sunny"']
    assert history[-1]["content"] == "It is sunny."
    # The response that only calls is silent.
    answer = peer.named("response.done")[1]["response"]
    assert played(peer) == [(PLAYED[0], answer["id"]), (PLAYED[1], answer["id"])]
    assert answer["output"][0]["content"][0]["transcript"] == "It is sunny."


@in_virtual_time
async def test_a_client_by_webrtc_may_commit_its_turns_itself_out_of_what_the_microphone_hears() -> None:
    manual = {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}
    async with (
        staged("what is the capital of germany", replies=("Berlin.",)) as stage,
        call_realtime(stage.url, audio=manual) as peer,
    ):
        # Nobody is listened to before.
        peer.say(STOP)
        await asyncio.sleep(3.0)
        peer.tell({"type": "input_audio_buffer.clear"})
        await peer.until("input_audio_buffer.cleared")
        peer.say(QUESTION)
        await asyncio.sleep(len(QUESTION) / 16_000 + 0.5)
        peer.tell({"type": "input_audio_buffer.commit"})
        peer.tell({"type": "response.create"})
        await peer.until("output_audio_buffer.stopped")
        peer.tell({"type": "input_audio_buffer.append", "audio": "AAAA", "event_id": "sound"})
        problem = (await peer.until("error"))["error"]
        history = [(message["role"], message["content"]) for message in stage.history()]
        [n_heard] = stage.stt.heard_bytes
    assert history == [("user", "what is the capital of germany"), ("assistant", "Berlin.")]
    # The question, half a second of silence, and what is put behind it; nothing of what came before.
    assert n_heard / 2 / 16_000 == pytest.approx(len(QUESTION) / 16_000 + 0.5, abs=0.5)
    assert (problem["event_id"], problem["code"]) == ("sound", "unsupported_value")


async def leaves(peer: RealtimePeer) -> None:
    await peer.leave()


async def vanishes(peer: RealtimePeer) -> None:
    peer.vanish()


async def closes_its_channel(peer: RealtimePeer) -> None:
    peer.close_channel()


@pytest.mark.parametrize("ends", [leaves, vanishes, closes_its_channel])
@in_virtual_time
async def test_a_peer_that_is_gone_in_the_middle_of_an_answer_leaves_nothing_behind(
    ends: Callable[[RealtimePeer], Awaitable[None]],
) -> None:
    async with staged("count please", "once more", replies=(LONG_REPLY, "Fine.")) as stage:
        before = set(asyncio.all_tasks())
        async with call_realtime(stage.url) as peer:
            peer.say(QUESTION)
            await peer.until("response.output_audio_transcript.delta", 3)
            await ends(peer)
            await until_ended(stage)
        # The place is free again, and another one is answered.
        async with call_realtime(stage.url) as other, call_realtime(stage.url):
            other.say(QUESTION)
            await other.until("response.done")
        await until_ended(stage)
        async with asyncio.timeout(60):
            while left := {task.get_name() for task in asyncio.all_tasks() - before if "realtime" in task.get_name()}:
                await asyncio.sleep(0.1)
    assert left == set()


@in_virtual_time
async def test_a_call_is_hung_up_by_its_address() -> None:
    async with staged("count please", replies=(LONG_REPLY,)) as stage, call_realtime(stage.url) as peer:
        peer.say(QUESTION)
        await peer.until("output_audio_buffer.started")
        async with httpx.AsyncClient(base_url=stage.url.removesuffix("/v1")) as client:
            first = await client.post(f"{peer.location}/hangup")
            await peer.until_closed()
            await until_ended(stage)
            second = await client.post(f"{peer.location}/hangup")
    assert (first.status_code, first.content) == (200, b"")
    assert (second.status_code, second.json()["error"]["code"]) == (404, "call_not_found")
