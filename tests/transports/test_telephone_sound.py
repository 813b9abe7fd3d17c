"""Sound on a telephone's line, measured: both ways through the real line, by µ-law of the tests' own."""

import asyncio
import base64
import json
import time
from collections import deque
from typing import Any

import numpy as np
import pytest
from starlette.types import Message
from starlette.websockets import WebSocket

from tests.support.telephone_sound import from_ulaw, to_ulaw
from tests.support.virtual_time import in_virtual_time
from transports.media_streams import twilio_stream
from transports.telephone_line import PAUSE_SECS, TelephoneLine

RATE_HZ = 8_000
START = {"start": {"streamSid": "MZ1", "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}}}


def sine(rate_hz: int, frequency_hz: float, amplitude: float, secs: float = 1.0) -> Any:
    return np.rint(amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(int(rate_hz * secs)) / rate_hz)).astype(
        "<i2"
    )


def level_db(audio_s16: Any) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(audio_s16.astype(float) ** 2)) / 32768))


def strongest_hz(audio_s16: Any, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(audio_s16 * np.hanning(len(audio_s16))))
    return float(np.argmax(spectrum) * rate_hz / len(audio_s16))


class Provider:
    """The far side, without a network: what it sends is there at once, and what it is sent is kept."""

    def __init__(self, frames: list[bytes]) -> None:
        self._coming: deque[Message] = deque([{"type": "websocket.connect"}])
        self._coming += [{"type": "websocket.receive", "text": _media(frame)} for frame in frames]
        self.messages: list[dict[str, Any]] = []

    async def receive(self) -> Message:
        if not self._coming:
            await asyncio.sleep(0.05)
            return {"type": "websocket.disconnect", "code": 1001}
        return self._coming.popleft()

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            self.messages.append(json.loads(message["text"]))


class SlowProvider(Provider):
    """It says half a second late what it has played."""

    def __init__(self) -> None:
        super().__init__([])
        self._answers: asyncio.Queue[Message] = asyncio.Queue()

    async def receive(self) -> Message:
        return self._coming.popleft() if self._coming else await self._answers.get()

    async def send(self, message: Message) -> None:
        await super().send(message)
        if message["type"] == "websocket.send" and self.messages[-1]["event"] == "mark":
            answer = {"type": "websocket.receive", "text": message["text"]}
            asyncio.get_running_loop().call_later(0.5, self._answers.put_nowait, answer)


def _media(frame: bytes) -> str:
    return json.dumps({"event": "media", "media": {"payload": base64.b64encode(frame).decode()}})


async def through(said_s16: Any, spoken_s16: Any, spoken_rate_hz: int) -> tuple[Any, Any]:
    """What the ears get at 16 kHz of what a caller says at 8 kHz, and what he hears of what the agent says."""
    ulaw = to_ulaw(said_s16)
    provider = Provider([ulaw[at : at + 160] for at in range(0, len(ulaw), 160)])
    socket = WebSocket({"type": "websocket"}, provider.receive, provider.send)
    await socket.accept()
    ears = bytearray()

    async def take(pcm16: bytes) -> None:
        ears.extend(pcm16)

    async def no_key(_: str) -> None:
        raise AssertionError("no key was pressed")

    line = TelephoneLine(socket, take, no_key, await twilio_stream(START), spoken_rate_hz)
    n_frame = spoken_rate_hz // 50
    for at in range(0, len(spoken_s16), n_frame):
        assert line.send_sound(spoken_s16[at : at + n_frame].tobytes())
    await line.run()
    return np.frombuffer(bytes(ears), "<i2"), heard_by(provider)


def heard_by(provider: Provider) -> Any:
    media = [message["media"]["payload"] for message in provider.messages if message["event"] == "media"]
    return from_ulaw(b"".join(base64.b64decode(payload) for payload in media))


async def nothing(_: object) -> None:
    """Neither sound nor keys come."""


async def spoken_slowly(spoken_s16: Any, pause_at_secs: float | None = None) -> tuple[Any, float]:
    """What a caller hears where his provider plays late, and the longest wait for it; the agent may pause once."""
    provider = SlowProvider()
    socket = WebSocket({"type": "websocket"}, provider.receive, provider.send)
    await socket.accept()
    line = TelephoneLine(socket, nothing, nothing, await twilio_stream(START), 24_000)
    running = asyncio.create_task(line.run())
    most_secs = 0.0
    for at in range(0, len(spoken_s16), 480):
        if at / 24_000 == pause_at_secs:
            await asyncio.sleep(1.0)
        since_secs = time.monotonic()
        await line.ready_for_sound()
        most_secs = max(most_secs, time.monotonic() - since_secs)
        assert line.send_sound(spoken_s16[at : at + 480].tobytes())
    line.end("all was said")
    await running
    return heard_by(provider), most_secs


@in_virtual_time
@pytest.mark.parametrize("rate_hz", [22_050, 24_000, 16_000, 8_000])
@pytest.mark.parametrize(("frequency_hz", "amplitude"), [(440, 16_000), (1000, 1_000), (3000, 16_000)])
async def test_a_tone_keeps_its_frequency_and_level_both_ways(
    rate_hz: int, frequency_hz: float, amplitude: float
) -> None:
    said, spoken = sine(RATE_HZ, frequency_hz, amplitude), sine(rate_hz, frequency_hz, amplitude)
    ears, heard = await through(said, spoken, rate_hz)
    assert len(ears) == 2 * len(said)
    assert len(heard) == pytest.approx(RATE_HZ, abs=1)
    for sound, rate in ((ears, 16_000), (heard, RATE_HZ)):
        middle = sound[rate // 10 : -rate // 10].astype(float)
        assert strongest_hz(middle, rate) == pytest.approx(frequency_hz, abs=2)
        assert level_db(middle) == pytest.approx(level_db(said), abs=0.3)
        # What is left without the tone: µ-law's own noise, 38 dB below, and nothing that a filter has let through.
        at = np.arange(len(middle)) / rate
        tones = np.stack([np.sin(2 * np.pi * frequency_hz * at), np.cos(2 * np.pi * frequency_hz * at)], axis=1)
        rest = middle - tones @ np.linalg.lstsq(tones, middle, rcond=None)[0]
        assert level_db(rest) < level_db(middle) - 33


@in_virtual_time
async def test_sound_that_waits_for_the_far_side_goes_on_where_it_stopped() -> None:
    spoken = sine(24_000, 440, 16_000, 4.0)
    _, at_once = await through(np.zeros(160, "<i2"), spoken, 24_000)
    heard, waited_secs = await spoken_slowly(spoken)
    assert waited_secs > PAUSE_SECS
    assert np.array_equal(heard, at_once)


@in_virtual_time
async def test_after_a_pause_of_the_agents_sound_the_next_begins_anew() -> None:
    spoken = sine(24_000, 440, 16_000, 4.0)
    _, first = await through(np.zeros(160, "<i2"), spoken[:48_000], 24_000)
    _, second = await through(np.zeros(160, "<i2"), spoken[48_000:], 24_000)
    heard, _ = await spoken_slowly(spoken, pause_at_secs=2.0)
    assert np.array_equal(heard, np.concatenate((first, second)))


async def test_messages_that_come_at_once_leave_everybody_else_a_turn_after_each() -> None:
    n_read = n_turns = most_between_turns = 0

    def turn() -> None:
        nonlocal n_turns
        n_turns = n_read

    class Flood(Provider):
        async def receive(self) -> Message:
            nonlocal n_read, most_between_turns
            n_read += 1
            most_between_turns = max(most_between_turns, n_read - n_turns)
            asyncio.get_running_loop().call_soon(turn)
            return await super().receive()

    provider = Flood([b"\xff" * 160] * 300)
    socket = WebSocket({"type": "websocket"}, provider.receive, provider.send)
    await socket.accept()
    await TelephoneLine(socket, nothing, nothing, await twilio_stream(START), 24_000).run()
    # The connection, all of them, and its end; there is no turn between the connection and the first.
    assert n_read == 302
    assert most_between_turns <= 2


@in_virtual_time
async def test_silence_stays_silent_both_ways() -> None:
    ears, heard = await through(np.zeros(8_000, "<i2"), np.zeros(24_000, "<i2"), 24_000)
    assert not ears.any()
    assert not heard.any()


@in_virtual_time
async def test_what_a_telephone_cannot_carry_is_taken_out_and_not_folded_back() -> None:
    # 6 kHz would come back as 2 kHz.
    _, heard = await through(np.zeros(8_000, "<i2"), sine(24_000, 6_000, 16_000), 24_000)
    assert level_db(heard[800:]) < level_db(sine(24_000, 6_000, 16_000)) - 50
