"""How the user's sound comes into the pipeline: frame after frame, at once, and never late without end.

In:  InputAudioRawFrame, as they come.   Out: the same; ErrorFrame when sound had to be thrown away.

Pipecat's own input takes each frame through a queue without a bound, with a task and a timer for every one of them.
Where this machine is too busy to take sound as fast as it comes, what waits grows and each answer comes later; then
what waits is thrown away, and the user is told.
"""

import asyncio
from typing import Any

from pipecat.frames.frames import CancelFrame, EndFrame, InputAudioRawFrame, StartFrame
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.utils.errors import ErrorCategory

# Sound that waits longer is an answer that nobody waits for.
LATEST_SECS = 10.0
# In a frame's metadata: whether sound was lost before it.
SLIPPED = "slipped"


class LateSound:
    """Counts the sound that waits to be taken, and what was thrown away.

    Args:
        latest_secs: How much may wait.
    """

    def __init__(self, latest_secs: float = LATEST_SECS) -> None:
        self._latest_secs = latest_secs
        self._skipped_secs = 0.0

    def empty(self, waiting: "asyncio.Queue[Any]", frame_secs: float) -> None:
        """Throw away what waits, if it is too much.

        Args:
            waiting: Frames of one length.
            frame_secs: That length.
        """
        if waiting.qsize() * frame_secs <= self._latest_secs:
            return
        while not waiting.empty():
            waiting.get_nowait()
            self._skipped_secs += frame_secs

    def told(self) -> str | None:
        """What was thrown away since this was asked last, in a line for the user; None if nothing was."""
        skipped_secs, self._skipped_secs = self._skipped_secs, 0.0
        if not skipped_secs:
            return None
        return f"{skipped_secs:.0f} s of sound were not heard: this machine is too busy; end other programs or calls"


class DirectInput(BaseInputTransport):
    """Hands each frame to the pipeline in the task that has it."""

    async def set_transport_ready(self, frame: StartFrame) -> None:
        """Nothing more is needed: Pipecat's own queue and its task are not used."""

    async def push_audio_frame(self, frame: InputAudioRawFrame) -> None:
        """Hand a frame to the pipeline; back when it has been taken.

        Args:
            frame: Of the microphone.
        """
        if self._params.audio_in_enabled and not self._paused:
            await self.push_frame(frame)

    async def tell(self, late: LateSound) -> bool:
        """Tell the user of sound that was thrown away; whether any was."""
        if (problem := late.told()) is None:
            return False
        await self.push_error(problem, category=ErrorCategory.SERVER)
        return True


class SoundInput(DirectInput):
    """Takes frames from a source that cannot wait, a device for instance, and hands them on from a task of its own.

    Args:
        params: Pipecat's.
        latest_secs: How much may wait; infinite for a source whose every sample counts, however late.
    """

    def __init__(self, params: TransportParams, latest_secs: float = LATEST_SECS) -> None:
        super().__init__(params)
        self._frames: asyncio.Queue[InputAudioRawFrame] = asyncio.Queue()
        self._late = LateSound(latest_secs)
        self._hearing: asyncio.Task[None] | None = None

    async def start(self, frame: StartFrame) -> None:
        """Begin to hand frames on."""
        await super().start(frame)
        self._hearing = self.create_task(self._hear())

    def take(self, frame: InputAudioRawFrame) -> None:
        """Take a frame, without waiting.

        Args:
            frame: As long as those before it.
        """
        self._late.empty(self._frames, frame.num_frames / frame.sample_rate)
        self._frames.put_nowait(frame)

    async def stop(self, frame: EndFrame) -> None:
        """Hand nothing more on."""
        await self._stop_hearing()
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        """Hand nothing more on."""
        await self._stop_hearing()
        await super().cancel(frame)

    async def cleanup(self) -> None:
        """Hand nothing more on."""
        await self._stop_hearing()
        await super().cleanup()

    async def _stop_hearing(self) -> None:
        if self._hearing:
            await self.cancel_task(self._hearing)
            self._hearing = None

    async def _hear(self) -> None:
        while True:
            frame = await self._frames.get()
            if await self.tell(self._late):
                frame.metadata[SLIPPED] = True
            await self.push_audio_frame(frame)
