"""An output from which nothing comes any more, neither sound nor word, once it has been cut.

In:  InterruptionFrame.   Out: nothing that was taken before it, but for what may not be interrupted.

At an interruption Pipecat empties the output's queue, but the frame that its task has just taken out goes on: it is
played, begins the agent's speech anew, and reaches the history and the events behind the interruption.
"""

from collections import deque
from typing import Any

from pipecat.frames.frames import Frame, InterruptionFrame, OutputAudioRawFrame, StartFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.frame_queue import FrameQueue

# In the metadata of a frame that was taken out and not done with when the agent was cut.
CUT = "cut"


class _SoundQueue(FrameQueue):
    """Knows what it has handed out, and cuts that with the rest."""

    _in_hand: Frame | None = None

    def get_nowait(self) -> Any:
        self._in_hand = super().get_nowait()
        return self._in_hand

    def task_done(self) -> None:
        self._in_hand = None
        super().task_done()

    def reset(self) -> None:
        in_hand, self._in_hand = self._in_hand, None
        super().reset()
        if in_hand is not None and in_hand.interruptible:
            in_hand.metadata[CUT] = True
            if isinstance(in_hand, OutputAudioRawFrame):
                # Sound that is empty is passed over.
                in_hand.audio = b""
        self._in_hand = in_hand


class CutOutput(BaseOutputTransport):
    """The base of every output: subclasses send sound in `send_sound`."""

    _is_failing = False

    async def set_transport_ready(self, frame: StartFrame) -> None:
        """Begin to take frames."""
        await super().set_transport_ready(frame)
        for sender in self._media_senders.values():
            # The task that takes from it holds it already.
            sender._audio_queue.__class__ = _SoundQueue

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Cut at once: Pipecat first waits for its own work to end, and would play on meanwhile."""
        if isinstance(frame, InterruptionFrame):
            for sender in self._media_senders.values():
                sender._audio_queue.reset()
                sender._audio_runs = deque(run for run in sender._audio_runs if run[1])
        await super().process_frame(frame, direction)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Send sound; False if it was not sent, or cut meanwhile. What fails is told once, until some is sent again."""
        try:
            is_sent = await self.send_sound(frame)
        except Exception as error:  # noqa: BLE001 - whatever the edge raises costs this sound, and the user reads of it
            if not self._is_failing:
                self._is_failing = True
                await self.push_error(f"the loudspeaker: {error!r}", exception=error, category=ErrorCategory.SERVER)
            return False
        self._is_failing = False
        return is_sent and not is_cut(frame)

    async def send_sound(self, frame: OutputAudioRawFrame) -> bool:
        """Send sound at its time.

        Args:
            frame: The sound; it is empty, and `is_cut`, where it was cut while this waited.

        Returns:
            Whether it was sent.
        """
        raise NotImplementedError

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        """Push a frame that has not been cut."""
        if not is_cut(frame):
            await super().push_frame(frame, direction)


def is_cut(frame: Frame) -> bool:
    """Whether it was cut while the output was busy with it."""
    return CUT in frame.metadata
