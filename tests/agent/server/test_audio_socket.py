"""Calls by Asterisk's AudioSocket: real port, line and pipeline between a scripted Asterisk and scripted engines."""

import asyncio
import uuid
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from agent.errors import InputError
from agent.server.guard.places import Places
from agent.server.telephony.audio_socket import AudioSockets
from agent.settings.load import load_settings
from tests.support.asterisk_callers import audio_socket_call, packet
from tests.support.house import SPEECH
from tests.support.scripted_engines import WORD_SECS
from tests.support.telephone_callers import RATE_HZ
from tests.support.telephone_house import holding_lines, until_active
from tests.support.telephone_sound import at_telephone_rate
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

SHOWN = uuid.UUID("40325ec2-5efd-4bd3-805f-53576e581d13")
OTHER = uuid.UUID("50325ec2-5efd-4bd3-805f-53576e581d13")
OPEN: dict[str, dict[str, Any]] = {"pbx": {"provider": "asterisk", "audiosocket_port": 0, "keys": "answer"}}
GUARDED: dict[str, dict[str, Any]] = {"pbx": {**OPEN["pbx"], "secret": str(SHOWN).upper()}}
LONG_REPLY = "One two three four five six seven eight nine ten eleven twelve."
HANG_UP = 0x00


def speech(name: str) -> Any:
    return at_telephone_rate(load_recording(SPEECH / f"{name}.wav").audio_s16)


@in_virtual_time
async def test_a_spoken_question_a_barge_in_a_key_and_a_hang_up() -> None:
    replies = (LONG_REPLY, "Fine.", "Sales it is.")
    async with (
        holding_lines(OPEN, "count please", "stop", replies=replies) as lines,
        audio_socket_call(lines.audio_ports["pbx"]) as caller,
    ):
        await caller.begin(SHOWN)
        caller.say(speech("days_in_a_week"))
        await lines.until_event("bot_started_speaking")
        await asyncio.sleep(0.5)
        caller.say(speech("stop"))
        heard = (await lines.until_event("interruption"))["heard"].split()
        await asyncio.sleep(0.1)
        cut_s16 = caller.heard_s16
        await lines.until_event("bot_stopped_speaking", count=2)
        await caller.send(packet(0x03, b"3"))
        await lines.until_event("bot_stopped_speaking", count=3)
        await caller.send(packet(HANG_UP))
        assert (await caller.until_closed())[-1] == HANG_UP
        await until_active(lines.sessions, 0)
    assert 1 <= len(heard) < 12
    assert lines.history()[1]["text"].split() == heard
    assert lines.history()[-2]["text"] == "I pressed 3 on the keypad."
    assert [event["key"] for event in lines.named("dtmf")] == ["3"]
    assert lines.named("session_ended")[0]["reason"] == "the caller hung up"
    # What Asterisk has is played to the end: words of a quarter of a second, and what was ahead of its time.
    n_words = (np.abs(cut_s16.astype(int)) > 104).sum() / RATE_HZ / WORD_SECS
    assert abs(n_words - len(heard)) <= 1


@in_virtual_time
async def test_sound_is_sent_at_the_pace_of_real_time_for_there_is_no_taking_it_back() -> None:
    async with (
        holding_lines(OPEN, "count please", replies=(LONG_REPLY,)) as lines,
        audio_socket_call(lines.audio_ports["pbx"]) as caller,
    ):
        await caller.begin(SHOWN)
        caller.say(speech("days_in_a_week"))
        await lines.until_event("bot_stopped_speaking")
    # 20 ms each, and none more than 60 ms before its time: the gate's 40 ms and the line's 20.
    for index, came_secs in enumerate(caller.arrivals):
        assert came_secs - caller.arrivals[0] >= 0.02 * index - 0.0601


@in_virtual_time
async def test_a_wrong_uuid_is_hung_up_on_and_the_right_one_is_let_in_again_and_again() -> None:
    async with holding_lines(GUARDED) as lines:
        port = lines.audio_ports["pbx"]
        async with audio_socket_call(port) as caller:
            await caller.begin(OTHER)
            assert await caller.until_closed() == [HANG_UP]
        assert lines.events == []
        async with audio_socket_call(port) as first, audio_socket_call(port) as second:
            await first.begin(SHOWN)
            await second.begin(SHOWN)
            await lines.until_event("session_started", count=2)
    first_call, second_call = lines.named("session_started")
    assert first_call["conversation"] != second_call["conversation"]


@in_virtual_time
async def test_a_caller_too_many_is_hung_up_on_and_the_other_call_goes_on() -> None:
    async with holding_lines(OPEN, "say it", replies=("Seven.",), max_sessions=1) as lines:
        port = lines.audio_ports["pbx"]
        async with audio_socket_call(port) as caller, audio_socket_call(port) as second:
            await caller.begin(SHOWN)
            await lines.until_event("session_started")
            await second.begin(SHOWN)
            assert await second.until_closed() == [HANG_UP]
            caller.say(speech("days_in_a_week"))
            await lines.until_event("bot_stopped_speaking")


@in_virtual_time
async def test_when_the_server_stops_the_caller_is_hung_up_on() -> None:
    async with holding_lines(OPEN) as lines, audio_socket_call(lines.audio_ports["pbx"]) as caller:
        await caller.begin(SHOWN)
        await lines.until_event("session_started")
        await lines.sessions.close()
        assert (await caller.until_closed())[-1] == HANG_UP


@in_virtual_time
@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (packet(0x12, bytes(640)), "a packet of type 0x12: sound must be 8 kHz (0x10)"),
        (packet(0x10, bytes(321)), "sound of 321 bytes is no whole number of 16-bit samples"),
        (packet(0x10), "sound of 0 bytes is no whole number of 16-bit samples"),
        (packet(0x10, bytes(40_000)), "a sound message of 80000 bytes; at most 6400 are taken"),
        (packet(0x10, bytes(3200)) * 60, "more sound than time: 16000 samples a second are taken"),
        (packet(0x01, SHOWN.bytes) * 2000, "too many messages: 150 a second are taken"),
        (packet(0xFF, b"\x02"), "Asterisk reports the error 02"),
        (packet(0xFF), "Asterisk reports the error without a number"),
    ],
)
async def test_what_is_no_packet_of_a_call_ends_it_with_a_reason_and_no_other(sent: bytes, reason: str) -> None:
    async with holding_lines(OPEN) as lines:
        port = lines.audio_ports["pbx"]
        async with audio_socket_call(port) as witness, audio_socket_call(port) as caller:
            await caller.begin(SHOWN)
            await lines.until_event("session_started")
            await witness.begin(OTHER)
            await lines.until_event("session_started", count=2)
            await caller.send(sent)
            assert (await caller.until_closed())[-1] == HANG_UP
            assert (await lines.until_event("session_ended"))["reason"] == reason
            await until_active(lines.sessions, 1)
            assert not witness.ended.is_set()


@in_virtual_time
@pytest.mark.parametrize("sent", [packet(0x10, bytes(320)), packet(0x01, b"short"), packet(0x00), b"", b"\x01\x00"])
async def test_a_connection_that_shows_no_uuid_is_closed_in_time(sent: bytes) -> None:
    async with holding_lines(OPEN) as lines, audio_socket_call(lines.audio_ports["pbx"]) as caller:
        await caller.send(sent)
        assert await caller.until_closed() == [HANG_UP]
    assert lines.events == []


@in_virtual_time
async def test_connections_without_a_uuid_take_up_little_room_and_give_way_to_a_call() -> None:
    async with holding_lines(OPEN, max_sessions=1) as lines:
        port = lines.audio_ports["pbx"]
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        async with audio_socket_call(port) as caller:
            await caller.begin(SHOWN)
            await lines.until_event("session_started")
            # The newest wait until their time is over, the others have been closed without a word.
            for reader, _ in idle:
                assert await reader.read() in (b"", packet(HANG_UP))
            assert not caller.ended.is_set()
        for _, writer in idle:
            writer.close()


@in_virtual_time
async def test_calls_and_those_who_say_nothing_have_their_places_among_all_connections_of_the_server() -> None:
    async with holding_lines(OPEN) as lines:
        lines.places.most = lines.places.most_of_network = 2
        port = lines.audio_ports["pbx"]
        async with audio_socket_call(port) as caller:
            await caller.begin(SHOWN)
            await lines.until_event("session_started")
            silent, left = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.1)
            assert len(lines.places) == 2
            # A request at another port takes the place of the one that says nothing, and never the call's.
            assert lines.places.enter("203.0.113.5", 0.0, lambda: None)
            assert await silent.read() == b""
            for place in lines.places:
                lines.places.work(place)
            refused, late = await asyncio.open_connection("127.0.0.1", port)
            assert await refused.read() == b""
            assert not caller.ended.is_set()
            await caller.send(packet(HANG_UP))
            await caller.until_closed()
            await until_active(lines.sessions, 0)
            for writer in (left, late):
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()
        assert {place.network for place in lines.places} == {"203.0.113.5"}


async def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as taken:
        port = taken.sockets[0].getsockname()[1]
        lines = {"pbx": {"provider": "asterisk", "audiosocket_port": port}}
        settings = load_settings({"telephony.lines": lines}, alone=True)
        sockets = AudioSockets(settings, lambda: 1 / 0, Places(1, 1))  # pyright: ignore[reportArgumentType]
        with pytest.raises(
            InputError, match=rf"telephony\.lines\.pbx\.audiosocket_port = {port} on 127\.0\.0\.1 cannot"
        ):
            await sockets.open()
