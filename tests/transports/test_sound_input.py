"""Sound that comes faster than it can be taken; whatever takes it is scripted."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import numpy as np
from pipecat.frames.frames import ErrorFrame, Frame, InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from tests.support.virtual_time import in_virtual_time
from transports.sound_input import LATEST_SECS, SLIPPED, LateSound, SoundInput
from transports.websocket import MAX_UNHEARD, WebSocketTransport

RATE_HZ = 16_000
FRAME_SECS = 0.02


class Taker(FrameProcessor):
    """Takes sound as slowly as it is told to, in the task that hands it on, as voice activity does."""

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)
        self.secs_a_frame = 0.0
        self.frames: list[InputAudioRawFrame] = []

    @property
    def numbers(self) -> list[int]:
        return [int(np.frombuffer(frame.audio, "<i2")[0]) for frame in self.frames]

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self.frames.append(frame)
            await asyncio.sleep(self.secs_a_frame)
        await self.push_frame(frame, direction)


class Microphone:
    """A source that cannot wait: frame n holds the number n."""

    def __init__(self, latest_secs: float) -> None:
        params = TransportParams(audio_in_enabled=True, audio_in_sample_rate=RATE_HZ)
        self.input = SoundInput(params, latest_secs)
        self.taker = Taker()
        self.told: list[str] = []
        self.most_waiting_secs = 0.0
        self._n = 0

    async def hear(self, duration_secs: float) -> None:
        for _ in range(round(duration_secs / FRAME_SECS)):
            pcm16 = np.full(round(RATE_HZ * FRAME_SECS), self._n, "<i2").tobytes()
            self.input.take(InputAudioRawFrame(pcm16, RATE_HZ, 1))
            self._n += 1
            self.most_waiting_secs = max(self.most_waiting_secs, self.input._frames.qsize() * FRAME_SECS)
            await asyncio.sleep(FRAME_SECS)


@asynccontextmanager
async def running(steps: list[FrameProcessor]) -> AsyncIterator[list[str]]:
    """A pipeline; gives the errors that it tells."""
    told: list[str] = []
    worker = PipelineWorker(
        Pipeline(steps),
        params=PipelineParams(audio_in_sample_rate=RATE_HZ),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
    )

    @worker.event_handler("on_pipeline_error")
    async def on_error(_: PipelineWorker, frame: ErrorFrame) -> None:
        told.append(frame.error)

    runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
    await runner.add_workers(worker)
    run = asyncio.create_task(runner.run())
    await asyncio.sleep(1)
    try:
        yield told
    finally:
        await worker.cancel()
        await run


@asynccontextmanager
async def listening(latest_secs: float = LATEST_SECS) -> AsyncIterator[Microphone]:
    microphone = Microphone(latest_secs)
    async with running([microphone.input, microphone.taker]) as microphone.told:
        yield microphone


@in_virtual_time
async def test_sound_that_is_taken_in_time_is_heard_whole() -> None:
    async with listening() as microphone:
        await microphone.hear(30)
        assert microphone.taker.numbers == list(range(1500))
        assert microphone.told == []


@in_virtual_time
async def test_on_a_machine_that_is_too_slow_sound_is_never_later_than_the_bound_and_the_user_is_told() -> None:
    async with listening() as microphone:
        microphone.taker.secs_a_frame = 0.04
        await microphone.hear(120)
        assert microphone.most_waiting_secs <= LATEST_SECS + FRAME_SECS
        # Half of it is taken, and what waits fills up every twenty seconds.
        assert 4 <= len(microphone.told) <= 6
        assert all(told.startswith("10 s of sound were not heard: this machine") for told in microphone.told)
        after_gap = [frame.metadata.get(SLIPPED, False) for frame in microphone.taker.frames]
        gaps = [b - a > 1 for a, b in zip(microphone.taker.numbers, microphone.taker.numbers[1:], strict=False)]
        assert after_gap[1:] == gaps
        assert sum(gaps) == len(microphone.told)


@in_virtual_time
async def test_what_comes_after_a_busy_time_is_heard_at_once_and_whole() -> None:
    async with listening() as microphone:
        microphone.taker.secs_a_frame = 3600
        await microphone.hear(60)
        n_before = len(microphone.taker.frames)
        microphone.taker.secs_a_frame = 0
        await asyncio.sleep(3600)
        await microphone.hear(5)
        assert microphone.taker.numbers[-250:] == list(range(3000, 3250))
        assert n_before == 1
        assert len(microphone.told) == 1


@in_virtual_time
async def test_a_recording_is_heard_whole_however_late() -> None:
    async with listening(math.inf) as microphone:
        microphone.taker.secs_a_frame = 0.04
        await microphone.hear(60)
        await asyncio.sleep(120)
        assert microphone.taker.numbers == list(range(3000))
        assert microphone.told == []


def test_what_was_thrown_away_is_told_once() -> None:
    late, waiting = LateSound(latest_secs=1.0), asyncio.Queue[int]()
    for number in range(60):
        late.empty(waiting, FRAME_SECS)
        waiting.put_nowait(number)
    assert [waiting.get_nowait() for _ in range(waiting.qsize())] == list(range(51, 60))
    assert (late.told() or "").startswith("1 s of sound were not heard")
    assert late.told() is None


@in_virtual_time
async def test_a_client_on_a_websocket_waits_while_its_sound_is_not_taken() -> None:
    taker, n_sent = Taker(), 0
    taker.secs_a_frame = 3600
    # No sound or message goes through it here.
    transport = WebSocketTransport(cast(Any, None), 24_000, on_message=cast(Any, None))

    async def send() -> None:
        nonlocal n_sent
        for _ in range(500):
            await cast(Any, transport.input()).take(bytes(640))
            n_sent += 1

    async with running([transport.input(), taker]):
        sending = asyncio.create_task(send())
        await asyncio.sleep(60)
        assert n_sent <= MAX_UNHEARD + 2
        taker.secs_a_frame = 0
        await asyncio.sleep(3600)
        await sending
        assert n_sent == 500
