"""One conversation from start to end: a pipeline on a transport, its observer and its history."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipecat.frames.frames import Frame, InterruptionFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.transports.base_transport import BaseTransport
from pipecat.workers.runner import WorkerRunner

from agent.conversation.observer import ConversationObserver, Sink
from agent.conversation.pipeline import build_worker
from agent.engines.host import ModelHost
from agent.settings.load import Settings, public_values
from processors.frames import PushToTalkFrame, StartOverFrame, TypedTurnFrame

STOP_TIMEOUT_SECS = 2.0


class Conversation:
    """Runs one pipeline until it is stopped.

    Args:
        host: The loaded engines.
        settings: Settings of the conversation.
        transport: Where sound comes from and goes to.
        sinks: Called with each event, on the event loop.
        speech_end_secs: Where the user's voice truly ended, if the transport knows it.
        context: The history to go on with; default: an empty one.
        about: Further fields of `session_started`.

    Attributes:
        context: The history.
        end_reason: Why it ended.
    """

    def __init__(
        self,
        host: ModelHost,
        settings: Settings,
        transport: BaseTransport,
        sinks: Sequence[Sink],
        *,
        speech_end_secs: Callable[[], float | None] = lambda: None,
        context: LLMContext | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self._observer = ConversationObserver(sinks, speech_end_secs=speech_end_secs)
        self.context = context or LLMContext()
        self._worker = build_worker(host, settings, transport, self._observer, self.context)
        self._about = dict(about or {})
        self._engines = host.engines()
        self._answer_secs = host.answer_secs
        self._settings = public_values(settings)
        self._push_to_talk = settings.turn.mode == "push_to_talk"
        self._running: asyncio.Task[None] | None = None
        self.end_reason = "ended"

    def start(self) -> asyncio.Task[None]:
        """Start it; the task ends when the conversation has ended."""
        self._observer.emit(
            "session_started",
            t=0.0,
            engines=self._engines,
            answer_secs=self._answer_secs,
            settings=self._settings,
            push_to_talk=self._push_to_talk,
            **self._about,
        )
        self._running = asyncio.create_task(self._run(), name="conversation")
        return self._running

    async def push_to_talk(self, active: bool) -> None:
        """The user presses or releases the key; it counts where `turn.mode` is push_to_talk.

        Args:
            active: Whether it is held from now on.
        """
        await self._queue(PushToTalkFrame(active))

    async def type(self, text: str, *, spoken: bool) -> None:
        """The user types a turn, which cuts the agent off.

        Args:
            text: Its words; nothing happens without any.
            spoken: Whether the answer is spoken; else it is written only.
        """
        if text.strip():
            await self._queue(TypedTurnFrame(text.strip(), spoken))

    async def interrupt(self) -> None:
        """The agent falls silent at once; the history holds what was heard."""
        await self._queue(InterruptionFrame())

    async def start_over(self) -> None:
        """The agent falls silent, and the history is emptied."""
        await self._queue(InterruptionFrame(), StartOverFrame())

    def report(self, stage: str, message: str) -> None:
        """Tell of something beside the pipeline that failed; the conversation goes on.

        Args:
            stage: What failed.
            message: How, in one line.
        """
        self._observer.emit("error", stage=stage, message=message)

    async def stop(self, reason: str) -> None:
        """End it now: what is being said is cut.

        Args:
            reason: What the log says about it.
        """
        self.end_reason = reason
        if self._running is None or self._running.done():
            return
        await self._worker.cancel(reason=reason)
        _, pending = await asyncio.wait([self._running], timeout=STOP_TIMEOUT_SECS)
        if pending:
            self._running.cancel()
            await asyncio.wait([self._running], timeout=STOP_TIMEOUT_SECS)

    async def _queue(self, *frames: Frame) -> None:
        if self._running and not self._running.done():
            await self._worker.queue_frames(list(frames))

    async def _run(self) -> None:
        runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
        await runner.add_workers(self._worker)
        try:
            await runner.run()
        finally:
            self._observer.emit("session_ended", reason=self.end_reason)
