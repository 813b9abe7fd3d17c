"""The voice model that all conversations share: the same answers as alone, and nobody waits for one who has gone."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from pipecat.audio.vad.vad_analyzer import VADState

from processors.ear.silero import SharedSilero, load_silero
from processors.ear.vad import SharedSileroVADAnalyzer
from tests.support.house import SPEECH
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
