"""The last step of the pipeline: says that an interruption has gone through all of it.

In:  InterruptionFrame, after the assistant's aggregator; StartOverFrame, ChangeHistoryFrame.
Out: HistorySettledFrame upstream.
Speech over the agent may be a whole turn by the time it is known to be one. Its words must not reach the history
before those of the reply that they cut off.
"""

from pipecat.frames.frames import Frame, InterruptionFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.frames import ChangeHistoryFrame, HistorySettledFrame, StartOverFrame


class HistorySettled(FrameProcessor):
    """Answers each interruption; empties or changes the history where nothing of a reply can still come into it.

    Args:
        context: The conversation's history.
    """

    def __init__(self, context: LLMContext) -> None:
        super().__init__()
        self._context = context

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, StartOverFrame):
            frame.conversation = frame.begin()
            self._context.set_messages([])
        elif isinstance(frame, ChangeHistoryFrame):
            self._context.set_messages(frame.change(list(self._context.messages)))
            frame.done()
        await self.push_frame(frame, direction)
        if isinstance(frame, InterruptionFrame) and direction is FrameDirection.DOWNSTREAM:
            await self.push_frame(HistorySettledFrame(), FrameDirection.UPSTREAM)
