"""Calls of tools that were cancelled before the history knew of them.

In:  the frames of calls, before the assistant's aggregator.   Out: the same; behind a call whose cancellation came
     first, a result that says so.

A call waits behind the words that were said before it, and its cancellation overtakes it at every step. Pipecat's
aggregator does not know the call then, and would hold it for one that is still at work, for ever.
"""

from pipecat.frames.frames import (
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallResultProperties,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

CANCELLED = "CANCELLED"


class CancelledCalls(FrameProcessor):
    """Sets a call and its cancellation in order."""

    def __init__(self) -> None:
        super().__init__()
        self._known: set[str] = set()
        self._cancelled: set[str] = set()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything on; end a call that has been cancelled already."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, FunctionCallInProgressFrame):
            if frame.tool_call_id in self._cancelled:
                self._cancelled.discard(frame.tool_call_id)
                await self._end(frame)
            else:
                self._known.add(frame.tool_call_id)
        elif isinstance(frame, FunctionCallResultFrame):
            self._known.discard(frame.tool_call_id)
        elif isinstance(frame, FunctionCallCancelFrame):
            if frame.tool_call_id not in self._known:
                self._cancelled.add(frame.tool_call_id)
            self._known.discard(frame.tool_call_id)

    async def _end(self, call: FunctionCallInProgressFrame) -> None:
        await self.push_frame(
            FunctionCallResultFrame(
                function_name=call.function_name,
                tool_call_id=call.tool_call_id,
                arguments=call.arguments,
                result=CANCELLED,
                properties=FunctionCallResultProperties(run_llm=False),
            )
        )
