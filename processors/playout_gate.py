"""The one place where the agent's voice waits before it is played.

In:  everything that leaves text-to-speech: TTSAudioRawFrame, word frames, start and stop marks.
Out: the same frames in the same order, audio cut to 20 ms, released at the pace of real time with a small lead.

Pipecat's output queue can only drain, so little may stand in it. What has left this gate is what the user hears;
what still waits here when the user cuts in was never heard, and neither are its words.
"""

import asyncio
import time
from collections import deque

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    StartFrame,
    SystemFrame,
    TTSAudioRawFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

LEAD_SECS = 0.06
FRAME_SECS = 0.02
BYTES_PER_SAMPLE = 2


class PlayoutGate(FrameProcessor):
    """Paces the agent's voice; words and marks keep their exact place between the samples.

    Args:
        lead_secs: How far ahead of real time frames are released.
    """

    def __init__(self, *, lead_secs: float = LEAD_SECS) -> None:
        super().__init__()
        self._lead_secs = lead_secs
        self._waiting: deque[Frame] = deque()
        self._arrived = asyncio.Event()
        self._release_task: asyncio.Task[None] | None = None
        self._played_until_secs = 0.0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Queue what belongs to the stream of speech; let everything else pass at once."""
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame):
            await self.push_frame(frame, direction)
            self._release_task = self.create_task(self._release())
        elif isinstance(frame, InterruptionFrame):
            self._cut()
            await self.push_frame(frame, direction)
        elif isinstance(frame, CancelFrame):
            await self._stop()
            await self.push_frame(frame, direction)
        elif direction is FrameDirection.UPSTREAM or isinstance(frame, SystemFrame):
            await self.push_frame(frame, direction)
        else:
            self._waiting.extend(_in_small_frames(frame))
            self._arrived.set()
            if isinstance(frame, EndFrame) and self._release_task:
                # The pipeline tears down once this call returns: what waits must have been played by then.
                await self._release_task
                self._release_task = None

    async def cleanup(self) -> None:
        """Stop releasing."""
        await super().cleanup()
        await self._stop()

    def _cut(self) -> None:
        """Drop what an interruption may drop; results of tools and the end of the session stay."""
        self._waiting = deque(frame for frame in self._waiting if not frame.interruptible)
        self._played_until_secs = 0.0

    async def _release(self) -> None:
        running = True
        while running:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            if isinstance(self._waiting[0], TTSAudioRawFrame):
                await self._wait_for_its_time()
            if self._waiting:
                frame = self._waiting.popleft()
                running = not isinstance(frame, EndFrame)
                await self._pass_on(frame)

    async def _wait_for_its_time(self) -> None:
        early_secs = self._played_until_secs - time.monotonic() - self._lead_secs
        if early_secs > 0:
            await asyncio.sleep(early_secs)

    async def _pass_on(self, frame: Frame) -> None:
        if isinstance(frame, TTSAudioRawFrame):
            duration_secs = len(frame.audio) / BYTES_PER_SAMPLE / frame.sample_rate
            self._played_until_secs = max(self._played_until_secs, time.monotonic()) + duration_secs
        else:
            # Text-to-speech stamped it with the wall clock; here its place in the stream is its time.
            frame.pts = None
        await self.push_frame(frame)

    async def _stop(self) -> None:
        if self._release_task:
            await self.cancel_task(self._release_task)
            self._release_task = None


def _in_small_frames(frame: Frame) -> list[Frame]:
    """Cut speech into frames of 20 ms, so that a cut, a pause or a word lands between them."""
    if not isinstance(frame, TTSAudioRawFrame):
        return [frame]
    size = int(frame.sample_rate * FRAME_SECS) * BYTES_PER_SAMPLE * frame.num_channels
    if len(frame.audio) <= size:
        return [frame]
    pieces: list[Frame] = []
    for start in range(0, len(frame.audio), size):
        piece = TTSAudioRawFrame(
            frame.audio[start : start + size], frame.sample_rate, frame.num_channels, frame.context_id
        )
        piece.interruptible = frame.interruptible
        piece.transport_destination = frame.transport_destination
        pieces.append(piece)
    return pieces
