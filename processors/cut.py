"""What an interruption overtakes is gone: nothing of a cut reply leaves a step behind the interruption.

In:  the queue of a step.   Out: the same queue, from which an interruption takes what it cuts as it enters.

Pipecat empties what a step has taken from its queue, but not the queue itself, in which an interruption overtakes data
frames as every system frame does: words and sound of the cut reply would pass the step behind it. Where every step on
the reply's way is mended so, what a step sends before it is cut is taken out before the next one is, and so on.
"""

import heapq
from typing import Any

from pipecat.frames.frames import InterruptionFrame, SystemFrame
from pipecat.processors.frame_processor import FrameProcessor, FrameProcessorQueue

_QUEUE = "_FrameProcessor__input_queue"


class CutQueue(FrameProcessorQueue):
    """A step's queue that an interruption empties of all it would overtake, but for what may not be interrupted."""

    async def put(self, item: Any) -> None:
        """Queue a frame.

        Args:
            item: The frame, its direction and its callback.
        """
        if isinstance(item[0], InterruptionFrame):
            self._cut()
        await super().put(item)

    def _cut(self) -> None:
        waiting: list[Any] = self._queue  # pyright: ignore[reportAttributeAccessIssue]
        kept = [entry for entry in waiting if isinstance(entry[2][0], SystemFrame) or not entry[2][0].interruptible]
        for _ in range(len(waiting) - len(kept)):
            self.task_done()
        waiting[:] = kept
        heapq.heapify(waiting)


def cut_in_order(step: FrameProcessor) -> None:
    """Let interruptions take what they overtake out of a step's queue; before it has been started.

    Args:
        step: Any processor.

    Raises:
        AttributeError: This Pipecat keeps its frames elsewhere.
        ValueError: Frames wait there already.
    """
    if not getattr(step, _QUEUE).empty():
        raise ValueError(f"{step} has been given frames already")
    setattr(step, _QUEUE, CutQueue())
