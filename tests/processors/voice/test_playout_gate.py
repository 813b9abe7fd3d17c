"""The playout gate: speech leaves at the pace of real time, in order, and what waits when the user cuts in is gone."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.text.base_text_aggregator import TextType
from pipecat.workers.runner import WorkerRunner

from processors.frames import FalseInterruptionFrame, FloorFrame, PlayoutFrame, ReplyBegunFrame
from processors.manner import Manner
from processors.turns.heard_speech import HeardSpeech
from processors.voice.playout_gate import LEAD_SECS, PlayoutGate
from tests.support.virtual_time import in_virtual_time

RATE_HZ = 24_000


class Loudspeaker(FrameProcessor):
    """A fake at the edge: notes when each frame reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: list[tuple[float, Frame]] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.arrived.append((time.monotonic(), frame))
        await self.push_frame(frame, direction)

    def sound(self) -> list[tuple[float, TTSAudioRawFrame]]:
        return [(at, frame) for at, frame in self.arrived if isinstance(frame, TTSAudioRawFrame)]


def speech(duration_secs: float) -> TTSAudioRawFrame:
    n_samples = round(duration_secs * RATE_HZ)
    samples = b"".join(index.to_bytes(2, "little", signed=True) for index in range(n_samples % 32768))
    return TTSAudioRawFrame(samples.ljust(n_samples * 2, b"\1"), RATE_HZ, 1)


def word(text: str) -> TTSTextFrame:
    frame = TTSTextFrame(text, TextType.WORD)
    frame.pts = 1  # as text-to-speech stamps it
    return frame


async def play(
    *steps: Frame | float, before: FrameProcessor | None = None, manner: Manner | None = None
) -> tuple[Loudspeaker, PlayoutGate]:
    """Send frames to a gate, a number standing for a pause in seconds; then end."""
    gate, loudspeaker = PlayoutGate(manner=manner), Loudspeaker()
    worker = PipelineWorker(
        Pipeline([*([before] if before else []), gate, loudspeaker]), enable_rtvi=False, idle_timeout_secs=None
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)

    async def send() -> None:
        for step in steps:
            if isinstance(step, (int, float)):
                await asyncio.sleep(step)
            else:
                await worker.queue_frame(step)
        await worker.queue_frame(EndFrame())

    await asyncio.wait_for(asyncio.gather(runner.run(), send()), 20)
    return loudspeaker, gate


@in_virtual_time
async def test_every_sample_leaves_once_and_in_order() -> None:
    source = speech(0.5)
    loudspeaker, _ = await play(source)
    assert b"".join(frame.audio for _, frame in loudspeaker.sound()) == source.audio
    # 10 ms at 24 kHz s16.
    assert {len(frame.audio) for _, frame in loudspeaker.sound()} == {480}


@in_virtual_time
async def test_no_frame_leaves_before_its_time() -> None:
    loudspeaker, _ = await play(speech(0.6))
    start_secs = loudspeaker.sound()[0][0]
    for index, (at_secs, _) in enumerate(loudspeaker.sound()):
        due_secs = start_secs + index * 0.01 - LEAD_SECS
        assert at_secs >= due_secs - 0.002


@in_virtual_time
async def test_words_keep_their_place_between_the_samples() -> None:
    loudspeaker, _ = await play(speech(0.1), word("one"), speech(0.1), word("two"), TTSStoppedFrame())
    order = [
        frame.text if isinstance(frame, TTSTextFrame) else type(frame).__name__
        for _, frame in loudspeaker.arrived
        if isinstance(frame, (TTSAudioRawFrame, TTSTextFrame, TTSStoppedFrame))
    ]
    assert order == ["TTSAudioRawFrame"] * 10 + ["one"] + ["TTSAudioRawFrame"] * 10 + ["two", "TTSStoppedFrame"]
    words = [frame for _, frame in loudspeaker.arrived if isinstance(frame, TTSTextFrame)]
    assert [frame.pts for frame in words] == [None, None]


@in_virtual_time
async def test_a_cut_drops_the_sound_and_the_words_that_wait() -> None:
    loudspeaker, _ = await play(speech(0.2), word("heard"), speech(5.0), word("never"), 0.5, InterruptionFrame(), 0.1)
    played_secs = sum(len(frame.audio) for _, frame in loudspeaker.sound()) / 2 / RATE_HZ
    # Half a second of waiting, the lead, and a frame that was on its way.
    assert played_secs == pytest.approx(0.5 + LEAD_SECS, abs=0.1)
    words = [frame.text for _, frame in loudspeaker.arrived if isinstance(frame, TTSTextFrame)]
    assert words == ["heard"]


@in_virtual_time
async def test_speech_after_a_cut_starts_at_once() -> None:
    loudspeaker, _ = await play(speech(5.0), 0.1, InterruptionFrame(), 0.1, speech(0.1))
    cut_secs = next(at for at, frame in loudspeaker.arrived if isinstance(frame, InterruptionFrame))
    after = [at for at, _ in loudspeaker.sound() if at > cut_secs + 0.05]
    assert len(after) == 10
    # The new speech was sent 0.1 s after the cut; it must not wait for the 4.9 s that were dropped.
    assert after[0] - cut_secs < 1.0


@in_virtual_time
async def test_what_must_not_be_lost_survives_a_cut() -> None:
    kept = TTSStoppedFrame()
    kept.interruptible = False
    loudspeaker, _ = await play(speech(5.0), kept, 0.1, InterruptionFrame())
    assert kept in [frame for _, frame in loudspeaker.arrived]


@in_virtual_time
async def test_the_end_waits_for_the_last_word() -> None:
    loudspeaker, _ = await play(speech(0.4), word("last"))
    kinds = [type(frame).__name__ for _, frame in loudspeaker.arrived]
    assert kinds.index("TTSTextFrame") < kinds.index("EndFrame")
    assert len(loudspeaker.sound()) == 40


def samples(loudspeaker: Loudspeaker) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.frombuffer(b"".join(frame.audio for _, frame in loudspeaker.sound()), "<i2")


@in_virtual_time
async def test_a_paused_agent_is_silent_and_goes_on_from_the_very_sample() -> None:
    source = speech(1.0)
    loudspeaker, _ = await play(source, 0.3, PlayoutFrame("paused"), 0.5, FalseInterruptionFrame(), 2.0)
    played = samples(loudspeaker)
    silence = np.flatnonzero(played == 0)
    # While it is paused, the loudspeaker is fed silence, so that nothing takes the speech for ended.
    assert len(silence) / RATE_HZ == pytest.approx(0.5, abs=0.03)
    assert len(played) - len(silence) == pytest.approx(len(source.audio) // 2, abs=2)
    rest = played[played != 0]
    expected = np.frombuffer(source.audio, "<i2")
    expected = expected[expected != 0]
    # The first 5 ms after the pause rise from the ducked level; all else is the very sample.
    changed = np.flatnonzero(rest != expected)
    assert len(rest) == len(expected)
    assert len(changed) <= 120


@in_virtual_time
async def test_a_ducked_agent_speaks_on_at_a_tenth_of_its_level() -> None:
    loudspeaker, _ = await play(speech(1.0), 0.3, PlayoutFrame("ducked"), 0.3, PlayoutFrame("full"), 1.0)
    source = np.frombuffer(speech(1.0).audio, "<i2").astype(float)
    gains = samples(loudspeaker)[1000:] / source[1000:]
    assert len(gains) == len(source) - 1000
    # 20 dB is a factor of ten; 0.3 s of it, but for the two ramps.
    assert np.count_nonzero(np.abs(gains - 0.1) < 0.001) / RATE_HZ == pytest.approx(0.3, abs=0.03)
    assert np.count_nonzero(gains == 1.0) / RATE_HZ == pytest.approx(1.0 - 1000 / RATE_HZ - 0.3, abs=0.03)


@in_virtual_time
async def test_a_cut_ends_a_pause() -> None:
    loudspeaker, _ = await play(speech(1.0), 0.1, PlayoutFrame("paused"), 0.1, InterruptionFrame(), 0.1, speech(0.2))
    cut_secs = next(at for at, frame in loudspeaker.arrived if isinstance(frame, InterruptionFrame))
    after = b"".join(frame.audio for at, frame in loudspeaker.sound() if at > cut_secs)
    assert after == speech(0.2).audio


@in_virtual_time
async def test_the_end_of_the_session_ends_a_pause() -> None:
    loudspeaker, _ = await play(speech(0.2), PlayoutFrame("paused"))
    assert type(loudspeaker.arrived[-1][1]) is EndFrame


@in_virtual_time
async def test_a_speculative_reply_is_not_heard_before_the_turn_is_over() -> None:
    reply = (ReplyBegunFrame(speculative=True), LLMFullResponseStartFrame(), speech(0.1), LLMFullResponseEndFrame())
    loudspeaker, _ = await play(*reply, 1.0)
    assert loudspeaker.sound() == []
    loudspeaker, _ = await play(*reply, 1.0, UserStoppedSpeakingFrame(), 0.5)
    turn_end_secs = next(at for at, frame in loudspeaker.arrived if isinstance(frame, UserStoppedSpeakingFrame))
    assert loudspeaker.sound()[0][0] == turn_end_secs
    assert samples(loudspeaker).tobytes() == speech(0.1).audio


@in_virtual_time
async def test_a_speculative_reply_that_is_withdrawn_is_never_heard() -> None:
    reply = (ReplyBegunFrame(speculative=True), LLMFullResponseStartFrame(), speech(0.1), word("wrong"))
    loudspeaker, _ = await play(
        UserStartedSpeakingFrame(),
        *reply,
        0.1,
        InterruptionFrame(),
        EagerEndOfTurnCancelFrame(),
        0.1,
        UserStoppedSpeakingFrame(),
        ReplyBegunFrame(),
        LLMFullResponseStartFrame(),
        speech(0.2),
        word("right"),
        LLMFullResponseEndFrame(),
        0.5,
    )
    assert samples(loudspeaker).tobytes() == speech(0.2).audio
    assert [frame.text for _, frame in loudspeaker.arrived if isinstance(frame, TTSTextFrame)] == ["right"]


@in_virtual_time
async def test_the_agent_has_the_floor_from_the_beginning_of_its_reply_to_the_end_of_its_sound() -> None:
    told: list[tuple[float, bool]] = []

    class Upstream(FrameProcessor):
        async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, FloorFrame):
                told.append((time.monotonic(), frame.held))
            await self.push_frame(frame, direction)

    loudspeaker, _ = await play(
        LLMFullResponseStartFrame(), 1.0, speech(0.5), LLMFullResponseEndFrame(), 1.0, before=Upstream()
    )
    assert [held for _, held in told] == [True, False]
    # A second of thinking, then half a second of speech, of which the lead is released early.
    assert told[1][0] - told[0][0] == pytest.approx(1.0 + 0.5 - LEAD_SECS, abs=0.03)
    assert loudspeaker.sound()


def test_a_question_counts_until_the_next_sentence_has_been_heard() -> None:
    heard = HeardSpeech()
    assert not heard.asks()
    for text in "Shall I go on?".split():
        heard.add(text)
    assert heard.asks()
    heard.add("It")
    assert heard.asks()
    heard.add("works.")
    assert not heard.asks()
