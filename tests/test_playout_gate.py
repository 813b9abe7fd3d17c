"""The playout gate: speech leaves at the pace of real time, in order, and what waits when the user cuts in is gone."""

import asyncio
import time

import pytest
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InterruptionFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.text.base_text_aggregator import TextType
from pipecat.workers.runner import WorkerRunner

from processors.playout_gate import LEAD_SECS, PlayoutGate

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


async def play(*steps: Frame | float) -> tuple[Loudspeaker, PlayoutGate]:
    """Send frames to a gate, a number standing for a pause in seconds; then end."""
    gate, loudspeaker = PlayoutGate(), Loudspeaker()
    worker = PipelineWorker(Pipeline([gate, loudspeaker]), enable_rtvi=False, idle_timeout_secs=None)
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


async def test_every_sample_leaves_once_and_in_order() -> None:
    source = speech(0.5)
    loudspeaker, _ = await play(source)
    assert b"".join(frame.audio for _, frame in loudspeaker.sound()) == source.audio
    # 20 ms at 24 kHz s16.
    assert {len(frame.audio) for _, frame in loudspeaker.sound()} == {960}


async def test_no_frame_leaves_before_its_time() -> None:
    loudspeaker, _ = await play(speech(0.6))
    start_secs = loudspeaker.sound()[0][0]
    for index, (at_secs, _) in enumerate(loudspeaker.sound()):
        due_secs = start_secs + index * 0.02 - LEAD_SECS
        assert at_secs >= due_secs - 0.002


async def test_words_keep_their_place_between_the_samples() -> None:
    loudspeaker, _ = await play(speech(0.1), word("one"), speech(0.1), word("two"), TTSStoppedFrame())
    order = [
        frame.text if isinstance(frame, TTSTextFrame) else type(frame).__name__
        for _, frame in loudspeaker.arrived
        if isinstance(frame, (TTSAudioRawFrame, TTSTextFrame, TTSStoppedFrame))
    ]
    assert order == ["TTSAudioRawFrame"] * 5 + ["one"] + ["TTSAudioRawFrame"] * 5 + ["two", "TTSStoppedFrame"]
    words = [frame for _, frame in loudspeaker.arrived if isinstance(frame, TTSTextFrame)]
    assert [frame.pts for frame in words] == [None, None]


async def test_a_cut_drops_the_sound_and_the_words_that_wait() -> None:
    loudspeaker, _ = await play(speech(0.2), word("heard"), speech(5.0), word("never"), 0.5, InterruptionFrame(), 0.1)
    played_secs = sum(len(frame.audio) for _, frame in loudspeaker.sound()) / 2 / RATE_HZ
    # Half a second of waiting, the lead of 60 ms, and a frame that was on its way.
    assert played_secs == pytest.approx(0.5 + LEAD_SECS, abs=0.1)
    words = [frame.text for _, frame in loudspeaker.arrived if isinstance(frame, TTSTextFrame)]
    assert words == ["heard"]


async def test_speech_after_a_cut_starts_at_once() -> None:
    loudspeaker, _ = await play(speech(5.0), 0.1, InterruptionFrame(), 0.1, speech(0.1))
    cut_secs = next(at for at, frame in loudspeaker.arrived if isinstance(frame, InterruptionFrame))
    after = [at for at, _ in loudspeaker.sound() if at > cut_secs + 0.05]
    assert len(after) == 5
    # The new speech was sent 0.1 s after the cut; it must not wait for the 4.9 s that were dropped.
    assert after[0] - cut_secs < 1.0


async def test_what_must_not_be_lost_survives_a_cut() -> None:
    kept = TTSStoppedFrame()
    kept.interruptible = False
    loudspeaker, _ = await play(speech(5.0), kept, 0.1, InterruptionFrame())
    assert kept in [frame for _, frame in loudspeaker.arrived]


async def test_the_end_waits_for_the_last_word() -> None:
    loudspeaker, _ = await play(speech(0.4), word("last"))
    kinds = [type(frame).__name__ for _, frame in loudspeaker.arrived]
    assert kinds.index("TTSTextFrame") < kinds.index("EndFrame")
    assert len(loudspeaker.sound()) == 20
