"""One conversation from start to end: a pipeline on a transport, its observer and its history."""

import asyncio
from collections.abc import Callable, Sequence

from pipecat.transports.base_transport import BaseTransport
from pipecat.workers.runner import WorkerRunner

from agent.model_host import ModelHost
from agent.observer import ConversationObserver, Sink
from agent.pipeline import build_worker
from agent.settings import Settings, public_values
from processors.turn_frames import PushToTalkFrame

STOP_TIMEOUT_SECS = 2.0


class Conversation:
    """Runs one pipeline until it is stopped.

    Args:
        host: The loaded engines.
        settings: Settings of the conversation.
        transport: Where sound comes from and goes to.
        sinks: Called with each event, on the event loop.
        speech_end_secs: Where the user's voice truly ended, if the transport knows it.
    """

    def __init__(
        self,
        host: ModelHost,
        settings: Settings,
        transport: BaseTransport,
        sinks: Sequence[Sink],
        *,
        speech_end_secs: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._observer = ConversationObserver(sinks, speech_end_secs=speech_end_secs)
        self._worker, self.context = build_worker(host, settings, transport, self._observer)
        self._engines = host.engines()
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
            settings=self._settings,
            push_to_talk=self._push_to_talk,
        )
        self._running = asyncio.create_task(self._run(), name="conversation")
        return self._running

    async def push_to_talk(self, active: bool) -> None:
        """The user presses or releases the key; it counts where `turn.mode` is push_to_talk.

        Args:
            active: Whether it is held from now on.
        """
        if self._running and not self._running.done():
            await self._worker.queue_frame(PushToTalkFrame(active))

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

    async def _run(self) -> None:
        runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
        await runner.add_workers(self._worker)
        try:
            await runner.run()
        finally:
            self._observer.emit("session_ended", reason=self.end_reason)
