"""A pipeline worker whose observers cost little: they see each frame of the microphone once.

In:  every frame that passes between two steps.   Out: the same to the observers, but for what none of ours looks at.

Pipecat tells its observers of each frame twice a step, through a queue and a task. Fifty frames a second from each
microphone go through half a dozen steps, and the second step has nothing new to say about them.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from pipecat.frames.frames import InputAudioRawFrame
from pipecat.observers.base_observer import BaseObserver, FrameProcessed, FramePushed
from pipecat.pipeline.base_pipeline import BasePipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.pipeline.worker_observer import WorkerObserver
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.transports.base_input import BaseInputTransport
from pipecat.utils.tracing.tracing_context import TracingContext

# A frame of the microphone that all of the input side has had, and when, in nanoseconds of the pipeline's clock.
Heard = Callable[[InputAudioRawFrame, int], None]


@runtime_checkable
class Clocked(Protocol):
    """An observer for whom the sound of a microphone, after the first of it, is no more than the time."""

    def pass_time(self, timestamp_ns: int) -> None:
        """It is so late, on the pipeline's clock."""


class FrugalObserver(WorkerObserver):
    """Hands on what is pushed; sound of the microphone only as it enters, and not that a step has begun its work.

    Args:
        observers: Ours.
        heard: Called with each frame of the microphone when it leaves the turn's aggregator; must not block.
    """

    def __init__(self, observers: Sequence[BaseObserver], heard: Heard | None = None) -> None:
        super().__init__(observers=list(observers))
        self._heard = heard
        self._has_begun = False

    async def on_process_frame(self, data: FrameProcessed) -> None:
        """None of our observers looks at this."""

    async def on_push_frame(self, data: FramePushed) -> None:
        """Queue a frame for the observers.

        Args:
            data: The frame, and between which steps it is.
        """
        if not isinstance(data.frame, InputAudioRawFrame):
            await super().on_push_frame(data)
        elif isinstance(data.source, BaseInputTransport):
            # It is the frame's first push, and nobody asks later whether it was.
            if not self._has_begun:
                await self._send_to_proxy(data)
                self._has_begun = bool(self._proxies)
                return
            for observer, proxy in (self._proxies or {}).items():
                # What waits there happened before.
                if isinstance(observer, Clocked) and proxy.queue.empty():
                    observer.pass_time(data.timestamp)
                else:
                    await proxy.queue.put(data)
        elif self._heard and isinstance(data.source, LLMUserAggregator):
            self._heard(data.frame, data.timestamp)


class WatchedWorker(PipelineWorker):
    """Pipecat's worker with a FrugalObserver between the pipeline and its observers.

    Args:
        pipeline: What it runs.
        heard: See FrugalObserver.
        options: See PipelineWorker.
    """

    def __init__(self, pipeline: BasePipeline, *, heard: Heard | None = None, **options: Any) -> None:
        super().__init__(pipeline, **options)
        self._observer = FrugalObserver(self._observer._observers or [], heard)

    @property
    def tracing_context(self) -> TracingContext | None:
        """What spans of this conversation belong to; None where there are none."""
        return self._tracing_context
