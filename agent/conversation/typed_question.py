"""A typed question and its written answer, by the language model that answers speech.

In:  a conversation whose last message is the question.   Out: pieces of the answer, Markdown.
The pipeline is as short as can be: the language model service, with its timeouts, retries, thinking filter and
shortening of long conversations, and a step that hands on its words. What the model calls is done in between, and it is
asked on.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    FunctionCallFromLLM,
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

from agent.conversation.written_tools import MAX_ROUNDS, AnswerNotes, WrittenTools
from processors.errors import MendedError
from processors.frames import USAGE, WrittenReplyFrame
from processors.llm.options import LLMOptions
from processors.llm.reflex import FindReflex
from processors.llm.routing import ANSWERING
from processors.llm.service import LocalLLMService
from processors.llm.told_on import CallsToldOn

STOP_TIMEOUT_SECS = 2.0
# Between what a model says before a call and behind it.
PARAGRAPH = "\n\n"

# From the calls of a reply that has ended: whether its history is to be answered once more.
GoOn = Callable[[Sequence[FunctionCallFromLLM]], Awaitable[bool]]


class AnswerError(Exception):
    """The language model failed before the end of its answer; one line says why."""


async def write_answer(
    options: LLMOptions,
    context: LLMContext,
    find_reflex: FindReflex | None = None,
    notes: AnswerNotes | None = None,
    *,
    tools: WrittenTools | None = None,
    is_spoken: bool = False,
) -> AsyncGenerator[str, None]:
    """The answer, piece by piece. Leaving early (`aclose`) ends the model's run.

    Args:
        options: Which model, and how.
        context: The conversation; the question is its last message. The answer is not added, but calls of the agent's
            tools with their results are, and turns that the model has no room for are taken out. Tools that a call has
            left in it are not offered: they belong to the call.
        find_reflex: Finds what needs no model.
        notes: Told what becomes known beside the words.
        tools: What may be called; default: nothing.
        is_spoken: Whether whoever asks speaks the answer aloud: it is plain speech then, not Markdown.

    Raises:
        AnswerError: The model failed, or calls tools without an end, or none where it has to; what came before stands.
    """
    notes, tools = notes or AnswerNotes(), tools or WrittenTools()
    service = CallsToldOn(options, find_reflex=find_reflex, calls_tools=bool(tools.names))
    service.may_call(tools.names, or_tries_to=True)
    said: list[str] = []

    async def go_on(calls: Sequence[FunctionCallFromLLM]) -> bool:
        more = await tools.do(context, "".join(said).strip(), calls, notes)
        if more and not tools.may_go_on():
            raise AnswerError(f"{options.model} called tools {MAX_ROUNDS} times without an end; try another model")
        said.clear()
        return more

    with tools.told_to(context):
        asked = frames_of(service, LLMContextFrame(context), is_spoken=is_spoken, go_on=go_on)
        async with aclosing(_words_of(asked, notes, said)) as words:
            async for piece in words:
                yield piece
    if tools.choice == "required" and not notes.calls:
        raise AnswerError(f"{options.model} called no function, as the caller wants it to; try another model")


async def _words_of(
    frames: AsyncGenerator[Frame, None], notes: AnswerNotes, said: list[str]
) -> AsyncGenerator[str, None]:
    """The words of all replies; those of the one that is under way stand in `said`, too."""
    has_spoken = False
    async with aclosing(frames):
        async for frame in frames:
            if isinstance(frame, LLMTextFrame):
                notes.answering = frame.metadata.get(ANSWERING, notes.answering)
                if has_spoken and not said:
                    yield PARAGRAPH
                has_spoken = True
                said.append(frame.text)
                yield frame.text
            elif isinstance(frame, LLMFullResponseEndFrame):
                notes.note_usage(frame.metadata.get(USAGE))


async def frames_of(
    service: LocalLLMService, asked: LLMContextFrame, *, is_spoken: bool, go_on: GoOn | None = None
) -> AsyncGenerator[Frame, None]:
    """What leaves the language model until the end of its reply, which is the last. Leaving early ends its run.

    Args:
        service: The language model, of nobody else.
        asked: What it answers.
        is_spoken: Whether the answer is heard, not read.
        go_on: Does what a reply calls, and says whether the model is asked on.

    Raises:
        AnswerError: The model failed; what came before stands.
    """
    calls: list[FunctionCallFromLLM] = []
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
            if isinstance(piece, FunctionCallsStartedFrame):
                calls += piece.function_calls
            elif isinstance(piece, LLMFullResponseEndFrame):
                if failures or not (calls and go_on and await go_on(calls)):
                    break
                calls.clear()
                await worker.queue_frame(LLMContextFrame(asked.context))
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
