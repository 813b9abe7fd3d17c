"""The microphone's sound through steps that stand within one another: each hands a frame on by a call.

In:  InputAudioRawFrame.   Out: the same, in its order among all other frames.

Pipecat pushes a frame with four events that nobody listens to, a line for a log that is off, two observations and a
clock; at the pace of a microphone that costs more than what the steps do. A step with a queue of its own is still
pushed to.
"""

from pipecat.frames.frames import Frame, InputAudioRawFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.errors import ErrorCategory


class SoundStep(FrameProcessor):
    """The base of steps that the microphone's sound passes."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Hear sound and hand it on; Pipecat has nothing to do with it but to tell observers."""
        if isinstance(frame, InputAudioRawFrame):
            await self.process_audio_frame(frame, direction)
            await self.push_frame(frame, direction)
        else:
            await super().process_frame(frame, direction)

    async def process_audio_frame(self, frame: InputAudioRawFrame, direction: FrameDirection) -> None:
        """Hear sound, before the next step does.

        Args:
            frame: Of the microphone; its sound may be changed.
            direction: Of the frame.
        """

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        """Hand sound to the next step, and push everything else.

        Args:
            frame: Any.
            direction: Of the frame.
        """
        following = self._next
        if (
            not isinstance(frame, InputAudioRawFrame)
            or not isinstance(following, SoundStep)
            or not following._enable_direct_mode
            or direction is not FrameDirection.DOWNSTREAM
        ):
            await super().push_frame(frame, direction)
            return
        if following._cancelling:
            return
        try:
            await following.process_frame(frame, direction)
        except Exception as error:  # noqa: BLE001 - as Pipecat has it: the step's failure costs this frame
            await following.push_error(
                f"Error processing frame: {error}", exception=error, category=ErrorCategory.UNKNOWN
            )
