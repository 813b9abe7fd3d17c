"""Where sound ends: nothing behind the user's turn listens to the microphone, nor behind the output to the agent.

In:  everything that leaves the user's turn, or the output.
Out: the same without InputAudioRawFrame, but for the first one, at which the agent may greet; without what was played.

Fifty frames a second would otherwise go through every later step, the loudspeaker's and the history's among them.
"""

from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame
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


class VoiceEnd(FrameProcessor):
    """Takes out what has been played, within the output: observers have seen it leave that."""

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything else on."""
        if isinstance(frame, OutputAudioRawFrame) and direction is FrameDirection.DOWNSTREAM:
            return
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
