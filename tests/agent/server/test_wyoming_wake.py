"""Wake words by Wyoming: the protocol's own client, the real server, pymicro's models."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import soxr
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.wake import Detect, Detection

from processors.llm.options import LLMOptions
from processors.wake import pymicro
from processors.wake.pymicro import PymicroDetector
from tests.support.served import serving_page
from tests.support.sounds import voice
from tests.support.speech_callers import NotingEngine
from tests.support.virtual_time import in_virtual_time
from tests.support.wyoming_peer import Caller, ServedWyoming, serving_wyoming

pytestmark = pytest.mark.needs_extra("wake")

NO_MODEL = LLMOptions("http://127.0.0.1:9/v1", "none")


@asynccontextmanager
async def satellites_house(**limits: Any) -> AsyncIterator[ServedWyoming]:
    async with (
        serving_page(NotingEngine(), NO_MODEL, None, wyoming_port=0, **limits) as served,
        serving_wyoming(served.state) as wyoming,
    ):
        yield wyoming


def sound(text: str, rate_hz: int = 16_000, width: int = 2, channels: int = 1) -> list[Any]:
    """A sentence between two silences as a satellite sends it, in pieces of 30 ms."""
    audio_f32 = voice(text).audio_s16.astype(np.float32) / 32768
    silence = np.zeros(12_000, np.float32)
    whole_f32 = soxr.resample(np.concatenate([silence, audio_f32, silence]), 16_000, rate_hz)
    wide = np.clip(whole_f32 * 2**31, -(2**31), 2**31 - 1).astype("<i4")
    raw = wide.view(np.uint8).reshape(-1, 4)[:, 4 - width :]
    if width == 1:
        raw = raw ^ 0x80
    pcm = np.repeat(raw[:, None, :], channels, axis=1).tobytes()
    step = rate_hz * 3 // 100 * width * channels
    form = rate_hz, width, channels
    chunks = [AudioChunk(*form, pcm[at : at + step]) for at in range(0, len(pcm), step)]
    return [AudioStart(*form), *chunks, AudioStop()]


async def told(caller: Caller, *sent: Any) -> list[tuple[str, str | None]]:
    """What is heard in a stretch of sound, up to a ping behind it."""
    await caller.send(*sent, Event("ping"))
    events = await caller.until("pong")
    return [(event.type, event.data.get("name")) for event in events if event.type != "pong"]


@in_virtual_time
async def test_what_it_hears_is_listed() -> None:
    async with satellites_house() as house, house.caller() as caller:
        await caller.send(Describe())
        event = (await caller.until("info"))[-1]
    (program,) = Info.from_event(event).wake
    assert (program.name, program.installed) == ("sotto", True)
    phrases = {model.name: model.phrase for model in program.models}
    assert phrases["hey_jarvis"] == "Hey Jarvis"
    assert sorted(phrases) == ["alexa", "hey_jarvis", "hey_mycroft", "okay_nabu"]
    assert all(model.installed and model.languages and model.attribution.url for model in program.models)


@in_virtual_time
async def test_a_word_is_told_and_sound_without_one_too() -> None:
    async with satellites_house() as house, house.caller() as caller:
        nabu, clock = sound("Okay Nabu."), sound("What time is it?")
        assert await told(caller, Detect(names=["okay_nabu"]), *nabu) == [("detection", "okay_nabu")]
        assert await told(caller, Detect(), *nabu) == [("detection", "okay_nabu")]
        assert await told(caller, Detect(names=["alexa"]), *nabu) == [("not-detected", None)]
        assert await told(caller, Detect(names=[]), *clock) == [("not-detected", None)]
        # Without a beginning, or without sound.
        assert await told(caller, Detect(), *nabu[1:]) == [("detection", "okay_nabu")]
        assert await told(caller, Detect(), AudioStop()) == [("not-detected", None)]
        # The same connection transcribes afterwards, and gets no answer to a detection that was given up.
        await caller.send(Detect(), Transcribe(), *clock)
        assert (await caller.until("transcript-stop"))[0].type == "transcript-start"


@in_virtual_time
async def test_a_word_is_told_while_the_sound_goes_on() -> None:
    async with satellites_house() as house, house.caller() as caller:
        await caller.send(Detect(names=["okay_nabu"]), *sound("Okay Nabu.")[:-1])
        event = (await caller.until("detection"))[-1]
        detection = Detection.from_event(event)
        assert detection.name == "okay_nabu"
        # Of 0.75 s of silence, the word's 0.8 s, and a little.
        assert detection.timestamp is not None
        assert 1_200 <= detection.timestamp <= 2_200
        # It was heard: nothing is missing at the end.
        assert await told(caller, AudioStop()) == []


@in_virtual_time
@pytest.mark.parametrize("form", [(48_000, 2, 2), (44_100, 4, 1), (22_050, 3, 2), (16_000, 1, 1), (32_000, 2, 1)])
async def test_sound_of_any_format_is_heard(form: tuple[int, int, int]) -> None:
    async with satellites_house() as house, house.caller() as caller:
        assert await told(caller, Detect(), *sound("Alexa.", *form)) == [("detection", "alexa")]


@in_virtual_time
async def test_what_cannot_be_is_told_in_one_line_and_ends_that_connection() -> None:
    start, chunk = AudioStart(16_000, 2, 1), AudioChunk(16_000, 2, 1, bytes(640))
    cases: list[tuple[list[Any], str]] = [
        ([Detect(names=["hey_you"])], "detect: hey_you is no word of this server; it knows alexa, hey_jarvis"),
        ([Event("detect", {"names": "alexa"})], "detect: names is no list of texts"),
        ([Event("detect", {"names": [1]})], "detect: names is no list of texts"),
        ([Detect(), start, Detect()], "detect: the sound before it has not ended"),
        ([Detect(), start, start], "audio-start: the sound before it has not ended"),
        ([Detect(), start, AudioChunk(8_000, 2, 1, bytes(640))], "are not those of the sound before it"),
        ([Detect(), Event("audio-start", {"rate": 0})], "audio-start: rate = 0"),
        ([start, chunk, Detect()], "detect: the sound before it has not ended"),
        ([Detect(), start], "no whole event came in time"),
        ([Detect()], "no whole event came in time"),
    ]
    async with satellites_house() as house:
        for sent, problem in cases:
            async with house.caller() as caller:
                await caller.send(*sent)
                events = await caller.rest()
            assert [event.type for event in events] == ["error"], sent
            assert problem in events[0].data["text"]
            assert "\n" not in events[0].data["text"]
        # Others are served as before.
        async with house.caller() as caller:
            assert await told(caller, Detect(), *sound("Alexa.")) == [("detection", "alexa")]


@in_virtual_time
async def test_many_satellites_are_heard_at_once_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[str] = set()
    hear = PymicroDetector.hear

    def noted(self: PymicroDetector, pcm16: bytes) -> Any:
        threads.add(threading.current_thread().name)
        return hear(self, pcm16)

    monkeypatch.setattr(PymicroDetector, "hear", noted)
    words = ["Okay Nabu.", "Alexa.", "What time is it?"] * 4
    expected = [[("detection", "okay_nabu")], [("detection", "alexa")], [("not-detected", None)]] * 4
    async with satellites_house() as house:

        async def satellite(text: str) -> list[tuple[str, str | None]]:
            async with house.caller() as caller:
                return await told(caller, Detect(), *sound(text))

        assert await asyncio.gather(*map(satellite, words)) == expected
    assert {name.rpartition("_")[0] for name in threads} == {"wake"}


@in_virtual_time
async def test_a_detector_that_fails_is_told_and_the_next_one_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with satellites_house() as house:
        with monkeypatch.context() as broken:
            broken.setattr(pymicro.PymicroDetector, "hear", _fail)
            async with house.caller() as caller:
                await caller.send(Detect(), *sound("Alexa."))
                events = await caller.rest()
            assert [(one.type, one.data["text"]) for one in events] == [("error", "wake word: it is broken")]
        async with house.caller() as caller:
            assert await told(caller, Detect(), *sound("Alexa.")) == [("detection", "alexa")]


@in_virtual_time
async def test_without_the_package_detect_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pymicro, "find_spec", lambda _: None)
    async with satellites_house() as house:
        async with house.caller() as caller:
            await caller.send(Describe())
            assert not Info.from_event((await caller.until("info"))[-1]).wake
        async with house.caller() as caller:
            await caller.send(Detect())
            (event,) = await caller.rest()
    assert event.data["text"] == "wake words need the package pymicro-wakeword: uv sync --extra wake"


def _fail(*_: Any) -> Any:
    raise pymicro.EngineError("it is broken")
