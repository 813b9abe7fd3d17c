"""A typed question and its written answer, by the language model that answers speech.

In:  a conversation whose last message is the question.   Out: pieces of the answer, Markdown.
The pipeline is as short as can be: the language model service, with its timeouts, retries, thinking filter and
shortening of long conversations, and a step that hands on its words.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    FunctionCallsStartedFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from processors.errors import MendedError
from processors.frames import WrittenReplyFrame
from processors.llm.options import LLMOptions
from processors.llm.reflex import FindReflex
from processors.llm.routing import ANSWERING, Answering
from processors.llm.service import LocalLLMService

STOP_TIMEOUT_SECS = 2.0


class AnswerError(Exception):
    """The language model failed before the end of its answer; one line says why."""


async def write_answer(
    options: LLMOptions,
    context: LLMContext,
    find_reflex: FindReflex | None = None,
    tell: Callable[[Answering], None] = lambda _: None,
    *,
    is_spoken: bool = False,
) -> AsyncGenerator[str, None]:
    """The answer, piece by piece. Leaving early (`aclose`) ends the model's run.

    Args:
        options: Which model, and how.
        context: The conversation; the question is its last message. The answer is not added, but turns that the model
            has no room for are taken out. Tools that a call has left in it are not offered: they belong to the call.
        find_reflex: Finds what needs no model.
        tell: Told which of two models answers, before its first word.
        is_spoken: Whether whoever asks speaks the answer aloud: it is plain speech then, not Markdown.

    Raises:
        AnswerError: The model failed; what came before stands.
    """
    service = LocalLLMService(options, find_reflex=find_reflex, calls_tools=False)
    async with aclosing(frames_of(service, LLMContextFrame(context), is_spoken=is_spoken)) as frames:
        async for frame in frames:
            if isinstance(frame, LLMTextFrame):
                if answering := frame.metadata.get(ANSWERING):
                    tell(answering)
                yield frame.text


async def frames_of(
    service: LocalLLMService, asked: LLMContextFrame, *, is_spoken: bool
) -> AsyncGenerator[Frame, None]:
    """What leaves the language model until the end of its reply, which is the last. Leaving early ends its run.

    Args:
        service: The language model, of nobody else.
        asked: What it answers.
        is_spoken: Whether the answer is heard, not read.

    Raises:
        AnswerError: The model failed; what came before stands.
    """
    pieces: asyncio.Queue[Frame | None] = asyncio.Queue()
    failures: list[str] = []

    @service.event_handler("on_error")
    async def fail(_: LocalLLMService, error: ErrorFrame) -> None:
        if not isinstance(error.exception, MendedError):
            failures.append(error.error)

    worker = PipelineWorker(
        Pipeline([service, _Pieces(pieces)]),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
    )
    runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run(), name="typed-question")
    running.add_done_callback(lambda _: pieces.put_nowait(None))
    try:
        await worker.queue_frames([*([] if is_spoken else [WrittenReplyFrame()]), asked])
        while (piece := await pieces.get()) is not None:
            yield piece
            if isinstance(piece, LLMFullResponseEndFrame):
                break
        if running.done():
            running.result()
            raise AnswerError("the language model's run ended before its answer")
    finally:
        await _stop(worker, running)
    if failures:
        raise AnswerError(failures[0])


async def _stop(worker: PipelineWorker, running: "asyncio.Task[None]") -> None:
    if not running.done():
        await worker.cancel(reason="answered")
        await asyncio.wait([running], timeout=STOP_TIMEOUT_SECS)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class _Pieces(FrameProcessor):
    """Puts what the reply is made of into a queue."""

    def __init__(self, pieces: "asyncio.Queue[Frame | None]") -> None:
        super().__init__()
        self._pieces = pieces

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMTextFrame | FunctionCallsStartedFrame | LLMFullResponseEndFrame):
            self._pieces.put_nowait(frame)
        await self.push_frame(frame, direction)
