"""The transport between Pipecat and the device; PortAudio is scripted (tests/support/scripted_sounddevice.py)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from tests.support.scripted_sounddevice import ScriptedDevice, ScriptedSoundDevice
from transports import desktop_audio
from transports.desktop import REFERENCE, DesktopTransport
from transports.play_queue import Playout

RATE_HZ = 16_000
BLOCK = RATE_HZ // 100
EXACT = ScriptedDevice("Exact", n_inputs=1, n_outputs=1, default_rate_hz=RATE_HZ, rates_hz=[RATE_HZ])


class Passing(FrameProcessor):
    """Stands between both sides of the transport and keeps what passes."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.changed = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.frames.append(frame)
        self.changed.set()
        await self.push_frame(frame, direction)

    async def until(self, kind: type[Frame], count: int = 1) -> list[Frame]:
        """Wait for frames of a kind; returns them."""
        async with asyncio.timeout(30):
            while len(found := [frame for frame in self.frames if isinstance(frame, kind)]) < count:
                self.changed.clear()
                await self.changed.wait()
        return found


class Session:
    """A running pipeline on the transport, whose device ticks when told to."""

    def __init__(self) -> None:
        self.module = ScriptedSoundDevice([EXACT])
        self.transport = DesktopTransport(RATE_HZ, sounddevice=self.module)
        self.between = Passing()
        self.after = Passing()
        steps = [self.transport.input(), self.between, self.transport.output(), self.after]
        self.worker = PipelineWorker(
            Pipeline(steps),
            params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
            enable_rtvi=False,
            enable_turn_tracking=False,
            idle_timeout_secs=None,
        )

    def tick(self, n_blocks: int = 1, heard: int = 0) -> np.ndarray:
        """Callbacks; returns what was written to the device."""
        stream = self.module.open_stream
        return np.concatenate([stream.tick(np.full(BLOCK, heard, np.int16))[:, 0] for _ in range(n_blocks)])

    async def queued(self, n_samples: int) -> None:
        """Wait until so much stands before the device."""
        async with asyncio.timeout(30):
            while self.transport.audio.player.playout.queued_samples < n_samples:
                await asyncio.sleep(0.001)

    async def say(self, n_samples: int, value: int) -> None:
        """Give the transport a stretch of the agent's voice."""
        await self.worker.queue_frames(
            [TTSStartedFrame(), TTSAudioRawFrame(np.full(n_samples, value, "<i2").tobytes(), RATE_HZ, 1)]
        )


@asynccontextmanager
async def session(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Session]:
    for name in ("SILENT_AFTER_SECS", "STARTING_SECS", "STALLED_SECS"):
        monkeypatch.setattr(desktop_audio, name, 3600.0)
    run = Session()
    runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
    await runner.add_workers(run.worker)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(30):
        while not run.module.streams or not run.transport.audio.stream_format:
            await asyncio.sleep(0.001)
    try:
        yield run
    finally:
        await run.worker.cancel()
        await running


async def test_the_microphone_comes_in_frames_of_20_ms_with_their_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session(monkeypatch) as run:
        await run.say(2 * BLOCK, 4321)
        await run.queued(2 * BLOCK)
        played = run.tick(2, heard=99)
        run.tick(2, heard=98)
        frames = [
            frame for frame in await run.between.until(InputAudioRawFrame, 2) if isinstance(frame, InputAudioRawFrame)
        ]
    assert [(frame.sample_rate, frame.num_channels, len(frame.audio)) for frame in frames] == [(RATE_HZ, 1, 640)] * 2
    assert np.frombuffer(frames[0].audio, "<i2").tolist() == [99] * 320
    assert np.frombuffer(frames[1].audio, "<i2").tolist() == [98] * 320
    assert frames[0].metadata[REFERENCE] == played.astype("<i2").tobytes()
    assert len(frames[1].metadata[REFERENCE]) == 640


async def test_an_interruption_tells_to_the_sample_what_was_played(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session(monkeypatch) as run:
        cuts: list[Playout] = []
        run.transport.on_cut = cuts.append
        await run.say(RATE_HZ, 4321)
        await run.queued(6 * BLOCK)
        played = run.tick(3)
        await run.queued(6 * BLOCK)
        await run.worker.queue_frame(InterruptionFrame())
        await run.after.until(InterruptionFrame)
        silence = run.tick(10)
    assert played.tolist() == [4321] * 3 * BLOCK
    assert np.abs(silence).max() <= 1
    (cut,) = cuts
    assert cut.played_samples == 3 * BLOCK
    assert cut.queued_samples == 0
    assert cut.written_samples == cut.played_samples + cut.dropped_samples


async def test_stopping_the_agent_interrupts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session(monkeypatch) as run:
        await run.say(RATE_HZ, 4321)
        await run.queued(6 * BLOCK)
        await run.transport.interrupt()
        await run.after.until(InterruptionFrame)
        assert run.transport.audio.player.playout.queued_samples == 0


async def test_the_end_waits_for_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session(monkeypatch) as run:
        await run.say(4 * BLOCK, 4321)
        await run.queued(4 * BLOCK)
        await run.worker.queue_frame(EndFrame())
        played = run.tick(2)
        assert not [frame for frame in run.after.frames if isinstance(frame, EndFrame)]
        played = np.concatenate((played, run.tick(2)))
        await run.after.until(EndFrame)
    assert played.tolist() == [4321] * 4 * BLOCK
    assert [stream.closed for stream in run.module.streams if stream.started] == [True]


async def test_pipecat_tells_when_the_agent_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session(monkeypatch) as run:
        await run.say(2 * BLOCK, 4321)
        await run.queued(2 * BLOCK)
        await run.worker.queue_frame(TTSStoppedFrame())
        run.tick(2)
        await run.after.until(BotStoppedSpeakingFrame)
    marks = [
        type(frame)
        for frame in run.after.frames
        if isinstance(frame, BotStartedSpeakingFrame | BotStoppedSpeakingFrame)
    ]
    assert marks == [BotStartedSpeakingFrame, BotStoppedSpeakingFrame]


async def test_each_frame_knows_when_it_will_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session(monkeypatch) as run:
        run.tick(2)
        await run.between.until(InputAudioRawFrame)
        await run.say(6 * BLOCK, 4321)
        frames = await run.after.until(TTSAudioRawFrame, 3)
    starts = [frame.metadata["playout_secs"] for frame in frames]
    # Frames of 20 ms that are written at once follow one another; nothing sounds before the device's own latency.
    assert starts == sorted(starts)
    assert starts[0] >= 0.03
    assert np.diff(starts).min() >= 0.02 - 1e-6
