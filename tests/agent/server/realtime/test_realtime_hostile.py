"""Realtime clients that break the protocol: one error for each event, nothing changed, no other session disturbed."""

import asyncio
import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from agent.server.realtime.input_buffer import MAX_WAITING_MS, TAIL_MS, InputBuffer
from agent.server.realtime.problems import RealtimeProblem
from agent.server.realtime.session_config import Pcm
from tests.agent.server.realtime.stage import MANUAL, Stage, staged, talking
from tests.support.house import SPEECH
from tests.support.realtime_caller import RATE_HZ, RealtimeCaller, calling_realtime
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

QUESTION = load_recording(SPEECH / "capital_of_germany.wav").audio_s16
UPDATE = "session.update"
CREATE = "conversation.item.create"


def session(**fields: Any) -> dict[str, Any]:
    return {"type": UPDATE, "session": {"type": "realtime", **fields}}


def item(**fields: Any) -> dict[str, Any]:
    return {"type": CREATE, "item": {"type": "message", "role": "user", **fields}}


NOT_EVENTS: list[str | bytes] = ["", "{", '{"type": "session.upd', "[1, 2]", '"text"', '{"type": 7}', "{}", "[" * 5_000]
NOT_EVENTS += [b"\0" * 640, '{"type": "\\ud800"}', json.dumps({"type": "session.destroy"}), '{"type": "response.done"}']
TEXT = {"type": "input_text", "text": "x"}
FUNCTION = {"type": "function", "name": "get_weather"}
CALL = {"type": "function_call", "call_id": "x", "name": "get_weather", "arguments": "{}"}
WRONG: list[tuple[dict[str, Any], str | None]] = [
    ({"type": UPDATE}, "session"),
    ({"type": UPDATE, "session": [1]}, "session"),
    ({"type": UPDATE, "session": {"type": "transcription"}}, "session.type"),
    (session(instructions=5), "session.instructions"),
    (session(output_modalities=["audio", "text"]), "session.output_modalities"),
    (session(output_modalities="audio"), "session.output_modalities"),
    (session(audio=[]), "session.audio"),
    (session(audio={"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}), "session.audio.input.format.rate"),
    (session(audio={"input": {"format": {"type": "audio/opus"}}}), "session.audio.input.format"),
    (session(audio={"input": {"turn_detection": {"type": "none"}}}), "session.audio.input.turn_detection"),
    (
        session(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": "high"}}}),
        "session.audio.input.turn_detection.threshold",
    ),
    (
        session(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 100}}}),
        "session.audio.input.turn_detection.idle_timeout_ms",
    ),
    (session(audio={"input": {"noise_reduction": {"type": "near_field"}}}), "session.audio.input.noise_reduction"),
    (
        session(audio={"input": {"transcription": {"language": "xx-klingon"}}}),
        "session.audio.input.transcription.language",
    ),
    (session(audio={"output": {"voice": "nobody"}}), "session.audio.output.voice"),
    (session(audio={"output": {"voice": {"id": 3}}}), "session.audio.output.voice"),
    (session(audio={"output": {"speed": 9}}), "session.audio.output.speed"),
    (session(audio={"output": {"speed": 0.3}}), "session.audio.output.speed"),
    (session(tools=[{**FUNCTION, "parameters": {"title": "\ud800"}}]), "session.tools.0.parameters"),
    (session(tools=[{"type": "mcp", "server_label": "x"}]), "session.tools.0.type"),
    (session(tools=[{"type": "function", "name": "a b"}]), "session.tools.0.name"),
    (session(tool_choice="required"), "session.tool_choice"),
    (session(max_output_tokens=0), "session.max_output_tokens"),
    (session(prompt={"id": "x"}), "session.prompt"),
    ({"type": "input_audio_buffer.append"}, "audio"),
    ({"type": "input_audio_buffer.append", "audio": 7}, "audio"),
    ({"type": "input_audio_buffer.append", "audio": "no base64!"}, "audio"),
    ({"type": "input_audio_buffer.commit"}, None),
    ({"type": CREATE}, "item"),
    ({"type": CREATE, "item": {"type": "item_reference"}}, "item.type"),
    (item(role="robot", content=[TEXT]), "item.role"),
    (item(content="x"), "item.content"),
    (item(content=[{"type": "input_audio", "audio": ""}]), "item.content[0].type"),
    (item(content=[{"type": "input_text", "text": 7}]), "item.content[0].text"),
    (item(content=[TEXT] * 65), "item.content"),
    (item(content=[{"type": "input_text", "text": "x" * 64_001}]), "item.content[0].text"),
    (item(content=[{"type": "input_text", "text": "x" * 32_001}] * 2), "item.content"),
    (item(id=7, content=[TEXT]), "item.id"),
    (item(id="\ud800", content=[TEXT]), "item.id"),
    ({**item(content=[TEXT]), "previous_item_id": "nobody"}, "previous_item_id"),
    ({"type": CREATE, "item": {"type": "function_call_output", "call_id": "x", "output": ""}}, "item.call_id"),
    ({"type": CREATE, "item": {**CALL, "call_id": 7}}, "item.call_id"),
    ({"type": CREATE, "item": {**CALL, "name": "a b"}}, "item.name"),
    ({"type": CREATE, "item": {**CALL, "arguments": '["Oslo"'}}, "item.arguments"),
    ({"type": CREATE, "item": {**CALL, "arguments": '["Oslo"]'}}, "item.arguments"),
    ({"type": CREATE, "item": {**CALL, "arguments": "x" * 64_001}}, "item.arguments"),
    ({"type": "conversation.item.delete"}, "item_id"),
    ({"type": "conversation.item.retrieve", "item_id": {}}, "item_id"),
    ({"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 0}, "item_id"),
    ({"type": "response.create", "response": 7}, "response"),
    ({"type": "response.create", "response": {"conversation": "conv_7"}}, "response.conversation"),
    ({"type": "response.create", "response": {"metadata": {"a": 1}}}, "response.metadata"),
    ({"type": "response.create", "response": {"instructions": 1}}, "response.instructions"),
    ({"type": "response.cancel"}, None),
]


@in_virtual_time
async def test_every_wrong_event_gets_one_error_that_names_its_field_and_changes_nothing() -> None:
    async with talking(replies=("Fine.",)) as (caller, stage):
        for index, text in enumerate(NOT_EVENTS):
            await caller.tell_raw(text)
            await caller.until("error", index + 1)
        for index, (event, _) in enumerate(WRONG):
            await caller.tell({**event, "event_id": f"mine_{index}"})
            await caller.until("error", len(NOT_EVENTS) + index + 1)
        errors = [event["error"] for event in caller.named("error")][len(NOT_EVENTS) :]
        assert [(error["event_id"], error["param"]) for error in errors] == [
            (f"mine_{index}", param) for index, (_, param) in enumerate(WRONG)
        ]
        assert {error["type"] for error in errors} == {"invalid_request_error"}
        assert not any("\n" in error["message"] for error in errors)
        # No name of a setting of ours.
        assert not any("tts." in error["message"] for error in errors)
        before = caller.events[0]["session"]
        unknown = {"colour": "red", "audio": {"input": {"smell": 1}}, "include": None, "tracing": None}
        assert await caller.update(**unknown) == before
        await caller.tell({"type": "response.create"})
        done = await caller.until("response.done")
        assert stage.n_active() == 1
    assert len(caller.named("error")) == len(NOT_EVENTS) + len(WRONG)
    assert done["response"]["status"] == "completed"


async def other_is_undisturbed(stage: Stage, attack: Any) -> int | None:
    """Attack one session while another one has a spoken conversation; how the attacker's line was closed, if it was."""
    async with calling_realtime(stage.url) as other, calling_realtime(stage.url) as caller:
        await other.say(QUESTION)
        await attack(caller)
        done = await other.until("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == "Hi there."
        assert other.named("error") == []
        assert not any(event["type"].startswith("response.") for event in caller.events)
        return caller.close_code


@in_virtual_time
async def test_an_enormous_event_closes_its_own_line_alone() -> None:
    async def attack(caller: RealtimeCaller) -> None:
        huge = json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 10_000_000})
        with suppress(ConnectionClosed):
            await caller.tell_raw(huge)
        await caller.until_closed()

    async with staged("hello", replies=("Hi there.",)) as stage:
        # 1009: the message is too big, told before it has been read.
        assert await other_is_undisturbed(stage, attack) == 1009


@in_virtual_time
async def test_sound_that_comes_faster_than_it_can_be_heard_is_bounded_and_said_to_be() -> None:
    piece = base64.b64encode(bytes(20 * RATE_HZ * 2)).decode()

    async def attack(caller: RealtimeCaller) -> None:
        await caller.update(audio=MANUAL)
        n_pieces = MAX_WAITING_MS // 20_000
        for _ in range(n_pieces + 2):
            await caller.connection.input_audio_buffer.append(audio=piece)
        error = (await caller.until("error", 2))["error"]
        assert error["code"] == "input_audio_buffer_full"
        await caller.tell({"type": "input_audio_buffer.clear"})
        await caller.until("input_audio_buffer.cleared")

    async with staged("hello", replies=("Hi there.",)) as stage:
        assert await other_is_undisturbed(stage, attack) is None


def test_sound_that_is_committed_counts_as_waiting_until_it_is_heard() -> None:
    async def flood() -> None:
        buffer = InputBuffer(Pcm())
        buffer.configure(Pcm(), detects_turns=False)
        piece = base64.b64encode(bytes(20 * RATE_HZ * 2)).decode()
        for _ in range(MAX_WAITING_MS // (20_000 + TAIL_MS)):
            buffer.append(piece)
            buffer.commit()
        with pytest.raises(RealtimeProblem, match="wait to be heard"):
            buffer.append(piece)
        n_heard = n_turns = 0

        async def count_turns() -> None:
            nonlocal n_turns
            while True:
                n_turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count_turns())
        while n_heard < 1000:
            n_heard += isinstance(await buffer.next(), bytes)
        counting.cancel()
        # Others got a turn with each frame, and what was heard makes room.
        assert n_turns >= 1000
        buffer.append(piece)

    asyncio.run(flood())


@in_virtual_time
async def test_half_a_sample_waits_for_its_other_half() -> None:
    async with talking("hello", replies=("Hi.",)) as (caller, stage):
        await caller.update(audio=MANUAL)
        sound = QUESTION.astype("<i2").tobytes()
        for start in range(0, len(sound), 4_801):
            piece = base64.b64encode(sound[start : start + 4_801]).decode()
            await caller.connection.input_audio_buffer.append(audio=piece)
        await caller.tell({"type": "input_audio_buffer.commit"})
        await caller.until("conversation.item.input_audio_transcription.completed")
        assert stage.stt.said == ["hello"]
        assert caller.named("error") == []


@pytest.mark.parametrize("after", ["append", "response", "nothing"])
def test_a_client_that_vanishes_at_any_moment_leaves_nothing_behind(after: str) -> None:
    @in_virtual_time
    async def talk() -> None:
        async with staged("hello", replies=("One two three four five six.",)) as stage:
            async with calling_realtime(stage.url) as caller:
                if after == "append":
                    await caller.say(QUESTION)
                elif after == "response":
                    await caller.tell({"type": "response.create"})
                    await caller.until("response.output_audio.delta")
                await caller.drop()
            async with asyncio.timeout(30):
                while stage.n_active():
                    await asyncio.sleep(0.05)
            assert not any("realtime" in task.get_name() for task in asyncio.all_tasks())

    talk()
