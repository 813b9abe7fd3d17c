"""The language model service in a running pipeline, for tests: what is sent in, and what comes out of both ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from pipecat.frames.frames import (
    DataFrame,
    ErrorFrame,
    Frame,
    LLMContextFrame,
    LLMTextFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.tests.utils import QueuedFrameProcessor
from pipecat.workers.runner import WorkerRunner

from processors.frames import ReplyBegunFrame
from processors.llm.options import LLMOptions
from processors.llm.service import LocalLLMService
from tests.support.scripted_llm import Answer, Request, ScriptedLLM

WAIT_SECS = 10
SYSTEM = "You are terse."
APOLOGY = "Sorry, I can't think right now."


@dataclass
class Marker(DataFrame):
    """Reaches the end of the pipeline when everything before it has."""


class Session:
    """A running pipeline around a service, and what came out of both its ends."""

    def __init__(self, worker: PipelineWorker, up: asyncio.Queue[Frame], down: asyncio.Queue[Frame]) -> None:
        self._worker = worker
        self._up = up
        self._down = down

    async def send(self, *frames: Frame) -> None:
        for frame in frames:
            await self._worker.queue_frame(frame)

    async def settle(self) -> tuple[list[Frame], list[ErrorFrame]]:
        """Wait for what was sent; returns the frames that left downstream, and the errors that left upstream."""
        await self.send(Marker())
        frames: list[Frame] = []
        while not isinstance(frame := await asyncio.wait_for(self._down.get(), WAIT_SECS), Marker):
            # Which says only whether the reply is a speculation; here none is.
            if not isinstance(frame, ReplyBegunFrame):
                frames.append(frame)
        up = [self._up.get_nowait() for _ in range(self._up.qsize())]
        return frames, [frame for frame in up if isinstance(frame, ErrorFrame)]

    async def ask(self, context: LLMContext) -> tuple[list[Frame], list[ErrorFrame]]:
        await self.send(LLMContextFrame(context))
        return await self.settle()


@asynccontextmanager
async def session(*processors: FrameProcessor) -> AsyncIterator[Session]:
    up: asyncio.Queue[Frame] = asyncio.Queue()
    down: asyncio.Queue[Frame] = asyncio.Queue()
    source = QueuedFrameProcessor(queue=up, queue_direction=FrameDirection.UPSTREAM)
    sink = QueuedFrameProcessor(queue=down, queue_direction=FrameDirection.DOWNSTREAM)
    worker = PipelineWorker(Pipeline([source, *processors, sink]), cancel_on_idle_timeout=False, enable_rtvi=False)
    started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def _started(*_: object) -> None:
        started.set()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(started.wait(), WAIT_SECS)
        running_session = Session(worker, up, down)
        await running_session.settle()  # What services say about themselves at the start.
        yield running_session
    finally:
        await worker.cancel()
        await running


def options(server: ScriptedLLM, **changes: Any) -> LLMOptions:
    plain = LLMOptions(
        server.base_url,
        "scripted",
        system_prompt=SYSTEM,
        first_token_timeout_secs=2.0,
        token_stall_timeout_secs=0.3,
        apology=APOLOGY,
    )
    return replace(plain, **changes)


def question(text: str = "hi") -> LLMContext:
    return LLMContext([{"role": "user", "content": text}])


def turns(n_turns: int) -> LLMContext:
    """n_turns - 1 answered questions and one that waits: q1 a1 q2 a2 ... qn."""
    messages: list[Any] = []
    for turn in range(1, n_turns):
        messages += [{"role": "user", "content": f"q{turn}"}, {"role": "assistant", "content": f"a{turn}"}]
    return LLMContext([*messages, {"role": "user", "content": f"q{n_turns}"}])


def contents(messages: Any) -> list[str]:
    return [message["content"] for message in messages]


def text_of(frames: list[Frame]) -> str:
    return "".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame))


def apologies(frames: list[Frame]) -> list[str]:
    return [frame.text for frame in frames if isinstance(frame, TTSSpeakFrame)]


async def one_reply(
    *script: Answer, context: LLMContext | None = None, **changes: Any
) -> tuple[list[Frame], list[ErrorFrame], list[Request]]:
    async with (
        ScriptedLLM(*script) as server,
        session(LocalLLMService(options(server, **changes))) as running,
    ):
        frames, errors = await running.ask(context or question())
        return frames, errors, server.requests
