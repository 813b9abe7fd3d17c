"""Turns that are typed instead of spoken: one history, one way to the language model.

In:  TypedTurnFrame.   Out: the turn's words, its end, and WrittenReplyFrame where the answer is to be read.

A typed turn starts like any other, which cuts the agent off; it ends as soon as what was heard of the reply that it cut
stands in the history. One that is typed while the user speaks waits until that has been answered (typed_queue.py).
"""

from pipecat.frames.frames import Frame, TextFrame, TranscriptionFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_stop import BaseUserTurnStopStrategy
from pipecat.utils.time import time_now_iso8601

from processors.frames import HistorySettledFrame, TypedTurnFrame, WrittenReplyFrame, WrittenTextFrame

# In the metadata of a transcript that was typed.
TYPED = "typed"


class TypedTurnEnd(BaseUserTurnStopStrategy):
    """Ends a turn that was typed."""

    def __init__(self) -> None:
        super().__init__()
        self._typed: TypedTurnFrame | None = None
        self._turn_open = False
        self._history_settled = True

    async def handle_user_turn_started(self) -> None:
        """Every turn starts with an interruption, and what it cuts off belongs into the history before this turn."""
        self._turn_open = True
        self._history_settled = False

    async def handle_user_turn_stopped(self) -> None:
        """The agent's turn."""
        self._turn_open = False

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Follow what is typed."""
        if isinstance(frame, TypedTurnFrame):
            self._typed = frame
            await self._publish()
        elif isinstance(frame, HistorySettledFrame):
            self._history_settled = True
            await self._publish()
        elif isinstance(frame, TranscriptionFrame) and TYPED in frame.metadata:
            await self.trigger_user_turn_stopped()
        return ProcessFrameResult.CONTINUE

    async def _publish(self) -> None:
        if self._typed is None or not (self._turn_open and self._history_settled):
            return
        typed, self._typed = self._typed, None
        if not typed.spoken:
            await self.push_frame(WrittenReplyFrame())
        words = TranscriptionFrame(typed.text, "", time_now_iso8601(), finalized=True)
        words.metadata[TYPED] = True
        await self.push_frame(words)


class WrittenHistory(FrameProcessor):
    """Stands behind the transport: what was written becomes text that Pipecat's aggregator takes into the history."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, WrittenTextFrame):
            text = TextFrame(frame.text)
            text.includes_inter_frame_spaces = True
            await self.push_frame(text, direction)
        else:
            await self.push_frame(frame, direction)
