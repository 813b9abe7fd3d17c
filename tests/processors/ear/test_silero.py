"""The voice model that all conversations share: the same answers as alone, and nobody waits for one who has gone."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, cast

import pytest
from pipecat.audio.vad.vad_analyzer import VADState
from pipecat.frames.frames import InputAudioRawFrame

from processors.ear.silero import WINDOW_BYTES, SharedSilero, load_silero
from processors.ear.vad import SharedSileroVADAnalyzer
from processors.ear.voice_activity import VoiceActivity
from processors.engine_threads import EngineThreads
from processors.errors import EngineHungError
from tests.support.house import SPEECH, silero_session
from tests.support.llm_session import session
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

FRAME_BYTES = 640
RECORDINGS = ("kitchen_lights.wav", "cough.wav", "days_in_a_week_with_pause.wav", "kitchen_lights.wav")
Course = list[tuple[float, VADState]]


@pytest.fixture(scope="module")
def silero() -> SharedSilero:
    return load_silero()


def pcm16_of(name: str) -> bytes:
    return load_recording(SPEECH / name).audio_s16.astype("<i2").tobytes()


def analyzer(silero: SharedSilero, threads: ThreadPoolExecutor) -> SharedSileroVADAnalyzer:
    made = SharedSileroVADAnalyzer(silero, threads)
    made.set_sample_rate(16_000)
    return made


async def follow(ears: SharedSileroVADAnalyzer, pcm16: bytes) -> Course:
    """What is seen after each frame of 20 ms."""
    course: Course = []
    for start in range(0, len(pcm16), FRAME_BYTES):
        state = await ears.analyze_audio(pcm16[start : start + FRAME_BYTES])
        course.append((ears._confidence, state))
    return course


def test_conversations_that_are_heard_together_are_heard_as_if_alone(silero: SharedSilero) -> None:
    async def together() -> list[Course]:
        return await asyncio.gather(*(follow(analyzer(silero, threads), pcm16_of(name)) for name in RECORDINGS))

    async def alone(name: str) -> Course:
        return await follow(analyzer(silero, threads), pcm16_of(name))

    with ThreadPoolExecutor(1) as threads:
        courses = asyncio.run(together())
        assert courses == [asyncio.run(alone(name)) for name in RECORDINGS]
    assert VADState.SPEAKING in {state for _, state in courses[0]}
    assert max(confidence for confidence, _ in courses[0]) > 0.99


def test_a_second_of_sound_at_once_is_heard_as_in_frames(silero: SharedSilero) -> None:
    async def at_once(pcm16: bytes) -> float:
        ears = analyzer(silero, threads)
        await ears.analyze_audio(pcm16)
        return ears._confidence

    pcm16 = pcm16_of("kitchen_lights.wav")[: 2 * 16_000]
    with ThreadPoolExecutor(1) as threads:
        assert asyncio.run(at_once(pcm16)) == asyncio.run(follow(analyzer(silero, threads), pcm16))[-1][0]


def test_a_conversation_that_ends_while_it_is_heard_leaves_the_others_their_answers(silero: SharedSilero) -> None:
    async def hold() -> Course:
        leaving = asyncio.create_task(follow(analyzer(silero, threads), pcm16_of("cough.wav")))
        staying = asyncio.create_task(follow(analyzer(silero, threads), pcm16_of("kitchen_lights.wav")))
        await asyncio.sleep(0.02)
        leaving.cancel()
        return await asyncio.wait_for(staying, 30)

    with ThreadPoolExecutor(1) as threads:
        assert max(confidence for confidence, _ in asyncio.run(hold())) > 0.99


def test_whoever_asks_when_the_threads_have_ended_is_told_and_does_not_wait(silero: SharedSilero) -> None:
    threads = ThreadPoolExecutor(1)
    threads.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        asyncio.run(asyncio.wait_for(follow(analyzer(silero, threads), pcm16_of("cough.wav")), 5))


class LateSession:
    """The real session; its twentieth run comes back after eight seconds."""

    def __init__(self, session: Any) -> None:
        self._session, self._n_runs = session, 0

    def run(self, *args: Any) -> Any:
        self._n_runs += 1
        if self._n_runs == 20:
            time.sleep(8.0)
        return self._session.run(*args)


@in_virtual_time
async def test_fault_a_run_that_was_given_up_and_comes_back_late_leaves_the_conversation_alone() -> None:
    pcm16 = pcm16_of("kitchen_lights.wav")
    windows = [pcm16[start : start + WINDOW_BYTES] for start in range(0, len(pcm16) - WINDOW_BYTES, WINDOW_BYTES)]

    async def confidences(session: Any, skipped: int | None) -> list[float]:
        threads, made = EngineThreads(1, "vad"), SharedSilero(session)
        ears = SharedSileroVADAnalyzer(made, threads)
        ears.set_sample_rate(16_000)
        course: list[float] = []
        for index, window in enumerate(windows):
            if index != skipped:
                with suppress(EngineHungError):
                    await ears.analyze_audio(window)
                    course.append(ears._confidence)
            # The late run comes back while others are heard: 5 s until it is given up, 3 s more.
            await asyncio.sleep(0.1)
        threads.shutdown(wait=False)
        return course

    assert await confidences(LateSession(silero_session()), None) == await confidences(silero_session(), 19)


async def test_fault_a_model_that_fails_for_long_is_told_of_once() -> None:
    class Broken:
        def run(self, *_: Any) -> Any:
            raise MemoryError

    with ThreadPoolExecutor(1) as threads:
        ears = analyzer(SharedSilero(cast(Any, Broken())), threads)
        async with session(VoiceActivity(ears)) as running:
            await running.send(*(InputAudioRawFrame(bytes(FRAME_BYTES), 16_000, 1) for _ in range(50)))
            _, errors = await running.settle()
    assert [error.error for error in errors] == ["voice activity: MemoryError"]
