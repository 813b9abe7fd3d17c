"""Calls by Asterisk's chan_websocket: real guard, route, line and pipeline between a scripted Asterisk and engines."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.support.house import SPEECH
from tests.support.scripted_engines import WORD_SECS
from tests.support.telephone_callers import WAIT_SECS
from tests.support.telephone_house import Lines, holding_lines, until_active
from tests.support.telephone_sound import at_telephone_rate, from_ulaw, to_ulaw
from tests.support.virtual_time import in_virtual_time
from transports.recording import Pcm16, load_recording

SECRET = "40325ec2-5efd-4bd3-805f-53576e581d13"
LINES: dict[str, dict[str, Any]] = {"asterisk": {"provider": "asterisk", "secret": SECRET, "keys": "answer"}}
PATH = "/telephony/asterisk"
LONG_REPLY = "One two three four five six seven eight nine ten eleven twelve."
# Of each format: the rate, a frame of 20 ms, and what is silent.
FORMATS = {"ulaw": (8_000, 160, b"\xff"), "slin": (8_000, 320, b"\0"), "slin16": (16_000, 640, b"\0")}


class Asterisk:
    """One call, as Asterisk streams it; use `asterisk_call`."""

    def __init__(self, line: ClientConnection, sound: str, *, is_json: bool) -> None:
        self.line = line
        self.commands: list[str] = []
        self.heard = bytearray()
        self.cut_at: list[int] = []
        self.closed: tuple[int | None, str] = (None, "")
        self.ended = asyncio.Event()
        self._sound = sound
        self._is_json = is_json
        self._to_say = bytearray()
        self._tasks = [asyncio.create_task(self._listen())]

    def event(self, name: str, **fields: str) -> str:
        """An event, in the format that Asterisk is set to."""
        if self._is_json:
            return json.dumps({"event": name, **fields})
        return " ".join([name, *(f"{key}:{value}" for key, value in fields.items())])

    async def begin(self) -> None:
        start = {"connection_id": "sotto", "channel": "WebSocket/sotto/0x1", "format": self._sound}
        await self.line.send(self.event("MEDIA_START", **start, optimal_frame_size="160"))
        self._tasks.append(asyncio.create_task(self._speak()))

    def say(self, name: str) -> None:
        audio_s16 = load_recording(SPEECH / f"{name}.wav").audio_s16
        if self._sound == "ulaw":
            self._to_say += to_ulaw(at_telephone_rate(audio_s16))
        else:
            sound_s16 = audio_s16 if self._sound == "slin16" else at_telephone_rate(audio_s16)
            self._to_say += sound_s16.astype("<i2").tobytes()

    def heard_s16(self, until: int | None = None) -> Pcm16:
        content = bytes(self.heard[:until])
        return from_ulaw(content) if self._sound == "ulaw" else np.frombuffer(content, "<i2")

    async def until_closed(self) -> tuple[int | None, str]:
        async with asyncio.timeout(WAIT_SECS):
            await self.ended.wait()
        return self.closed

    async def leave(self) -> None:
        await self.line.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _speak(self) -> None:
        _, n_bytes, silent = FORMATS[self._sound]
        due_secs = time.monotonic()
        with suppress(ConnectionClosed):
            while True:
                frame = bytes(self._to_say[:n_bytes]).ljust(n_bytes, silent)
                del self._to_say[:n_bytes]
                await self.line.send(frame)
                due_secs += 0.02
                await asyncio.sleep(max(0.0, due_secs - time.monotonic()))

    async def _listen(self) -> None:
        try:
            while True:
                message = await self.line.recv()
                if isinstance(message, bytes):
                    # What is left of a frame is dropped by Asterisk.
                    assert len(message) % FORMATS[self._sound][1] == 0
                    self.heard += message
                else:
                    command = json.loads(message)["command"] if self._is_json else message
                    self.commands.append(command)
                    if command == "FLUSH_MEDIA":
                        self.cut_at.append(len(self.heard))
        except ConnectionClosed as closed:
            if closed.rcvd:
                self.closed = (closed.rcvd.code, closed.rcvd.reason)
        finally:
            self.ended.set()


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"asterisk:{password}".encode()).decode()}


@asynccontextmanager
async def asterisk_call(
    lines: Lines, sound: str = "ulaw", *, is_json: bool = False, password: str = SECRET
) -> AsyncIterator[Asterisk]:
    async with connect(
        f"ws://sotto.lan{PATH}",
        host="127.0.0.1",
        port=lines.port,
        proxy=None,
        ping_interval=None,
        compression=None,
        subprotocols=[Subprotocol("media")],
        additional_headers=basic(password),
    ) as line:
        assert line.subprotocol == "media"
        caller = Asterisk(line, sound, is_json=is_json)
        try:
            yield caller
        finally:
            await caller.leave()


@in_virtual_time
@pytest.mark.parametrize(("sound", "is_json"), [("ulaw", False), ("slin", True), ("slin16", False)])
async def test_a_spoken_question_a_barge_in_a_key_and_a_hang_up(sound: str, is_json: bool) -> None:
    replies = (LONG_REPLY, "Fine.", "Sales it is.")
    async with (
        holding_lines(LINES, "count please", "stop", replies=replies) as lines,
        asterisk_call(lines, sound, is_json=is_json) as caller,
    ):
        await caller.begin()
        caller.say("days_in_a_week")
        await lines.until_event("bot_started_speaking")
        await asyncio.sleep(0.5)
        caller.say("stop")
        heard = (await lines.until_event("interruption"))["heard"].split()
        await lines.until_event("bot_stopped_speaking", count=2)
        assert caller.commands == ["FLUSH_MEDIA"]
        await caller.line.send(caller.event("DTMF_END", digit="3", duration_ms="100"))
        await lines.until_event("bot_stopped_speaking", count=3)
        await caller.line.close()
        await until_active(lines.sessions, 0)
    assert 1 <= len(heard) < 12
    assert lines.history()[1]["text"].split() == heard
    assert lines.history()[-2]["text"] == "I pressed 3 on the keypad."
    n_loud = (np.abs(caller.heard_s16(caller.cut_at[0]).astype(int)) > 104).sum()
    assert abs(n_loud / FORMATS[sound][0] / WORD_SECS - len(heard)) <= 1


@in_virtual_time
@pytest.mark.parametrize("is_json", [False, True])
async def test_when_the_server_ends_the_call_asterisk_is_told_to_hang_up(is_json: bool) -> None:
    async with holding_lines(LINES) as lines, asterisk_call(lines, is_json=is_json) as caller:
        await caller.begin()
        await lines.until_event("session_started")
        await lines.sessions.close()
        assert await caller.until_closed() == (1001, "the server stops")
        assert caller.commands[-1] == "HANGUP"


@in_virtual_time
@pytest.mark.parametrize("password", ["", "another", SECRET + "1"])
async def test_a_wrong_password_is_refused_before_there_is_a_line(password: str) -> None:
    async with holding_lines(LINES) as lines:
        with pytest.raises(InvalidStatus) as refused:
            async with asterisk_call(lines, password=password):
                raise AssertionError("it was let in")
    assert refused.value.response.status_code == 401
    assert b"telephony.lines.asterisk.secret" in (refused.value.response.body or b"")


@in_virtual_time
@pytest.mark.parametrize(
    ("start", "code", "reason"),
    [
        ("MEDIA_START connection_id:a format:opus", 1003, "the sound's format must be one of ulaw, alaw, slin, slin16"),
        ("MEDIA_START connection_id:a", 1003, "the sound's format must be one of ulaw, alaw, slin, slin16, not ''"),
        ("MEDIA_START format:ulaw", 1007, "the first message must be MEDIA_START, with a connection_id"),
        ("", 1007, "the first message must be MEDIA_START, with a connection_id"),
        ("MEDIA_XON", 1007, "the first message must be MEDIA_START, with a connection_id"),
        ("{", 1007, "an event must be text, or JSON"),
        ('{"event": ["MEDIA_START"]}', 1007, "the first message must be MEDIA_START, with a connection_id"),
        (b"\0" * 160, 1007, "the first message must be MEDIA_START"),
    ],
)
async def test_a_wrong_start_is_refused_with_its_reason(start: str | bytes, code: int, reason: str) -> None:
    async with holding_lines(LINES) as lines, asterisk_call(lines) as caller:
        await caller.line.send(start)
        closed = await caller.until_closed()
        assert (closed[0], closed[1][: len(reason)]) == (code, reason)
    assert lines.events == []


@in_virtual_time
@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        ("{", 1007, "an event must be text, or JSON"),
        (b"\0" * 321, 1007, "sound of 321 bytes is no whole number of 16-bit samples"),
        (b"\0" * 6402, 1009, "a sound message of 12804 bytes; at most 6400 are taken"),
        ("x" * 70_000, 1009, "a message of 70000 characters; at most 65536 are taken"),
    ],
)
async def test_what_is_no_message_ends_its_call_with_a_reason_and_no_other(
    sent: str | bytes, code: int, reason: str
) -> None:
    async with holding_lines(LINES) as lines, asterisk_call(lines) as witness, asterisk_call(lines, "slin") as caller:
        await witness.begin()
        await caller.begin()
        await lines.until_event("session_started", count=2)
        for event in ("MEDIA_XOFF", "STATUS queue_length:43", "", "DTMF_END digit:A", "DTMF_END"):
            await caller.line.send(event)
        await caller.line.send(sent)
        assert await caller.until_closed() == (code, reason)
        await until_active(lines.sessions, 1)
        assert not witness.ended.is_set()
    assert lines.named("dtmf") == []
