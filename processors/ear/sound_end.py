"""Where the microphone's sound ends: nothing behind the user's turn listens to it.

In:  everything that leaves the user's turn.
Out: the same without InputAudioRawFrame, but for the first one, at which the agent may greet.

Fifty frames a second would otherwise go through every later step, the loudspeaker's and the history's among them.
"""

from pipecat.frames.frames import Frame, InputAudioRawFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor


class SoundEnd(FrameProcessor):
    """Takes the sound out, within the step before it: a queue of its own would cost what it saves."""

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)
        self._begun = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything else on."""
        if isinstance(frame, InputAudioRawFrame):
            if self._begun:
                return
            self._begun = True
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
