"""All workers of a server: started, heard, started anew when they end, and ended in the end.

In:  what each is to be.   Out: connections to those that are there; which calls may begin.
"""

import asyncio
import signal
import socket
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loguru import logger
from starlette.types import Scope

from agent.engines.process.supervisor import EngineProcess
from agent.server.workers.front_app import Links
from agent.server.workers.front_server import CONNECTION
from agent.server.workers.handing import WorkerGoneError
from agent.server.workers.mould import Mould
from agent.server.workers.restarts import Restarts
from agent.server.workers.routing import Routing
from agent.server.workers.worker import Order, Worker, start_worker

FAILED_STATUS = 1


class Fleet(Links):
    """The workers.

    Args:
        order: What each is to be, but for its number.
        engines: What they share, if they do.
        mould: What they are forked from; None: each is started from nothing. It is not closed here.

    Attributes:
        routing: The table.
        is_draining: Whether the server is to end.
        failure: Why a worker could not begin that never was ready, and the status of a command that ends for it.
    """

    def __init__(self, order: Order, engines: EngineProcess | None = None, mould: Mould | None = None) -> None:
        self._engines = engines
        self.routing = Routing(order.of, order.settings.server.max_sessions)
        self.is_draining = False
        self.failure: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        self._order = order
        self._mould = mould
        self._workers: dict[int, Worker] = {}
        self._restarts = {number: Restarts() for number in range(order.of)}
        self._running: list[asyncio.Task[None]] = []
        self._were_ready: set[int] = set()
        self._changed = asyncio.Condition()
        self._notes: set[asyncio.Task[None]] = set()
        self._told_elsewhere: dict[int, int] = {}
        # Requests that are answered, by kind and worker.
        self._taken: dict[str, Counter[int]] = {}

    def open(self) -> None:
        """Start all; on the event loop."""
        for number in range(self._order.of):
            self._running.append(asyncio.create_task(self._run(number), name=f"worker-{number}"))

    async def all_ready(self) -> None:
        """Wait until each has been ready once."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._were_ready) == self._order.of)

    async def someone(self, within_secs: float) -> bool:
        """As `Links` has it."""
        if self.routing.up:
            return True
        try:
            async with asyncio.timeout(within_secs), self._changed:
                await self._changed.wait_for(lambda: bool(self.routing.up))
        except TimeoutError:
            return False
        return True

    async def line(self, number: int, scope: Scope) -> socket.socket:
        """As `Links` has it."""
        worker = self._workers.get(number)
        if worker is None:
            raise WorkerGoneError("a worker has ended")
        try:
            return await worker.handing.connect(scope[CONNECTION].origin)
        except WorkerGoneError:
            # Before it is heard of: nobody else is to be sent there.
            if self._workers.get(number) is worker:
                self.routing.lost(number)
            raise

    def figures(self) -> Mapping[str, float]:
        """As `Links` has it."""
        return {
            "sotto_workers": float(len(self.routing.ready)),
            "sotto_worker_restarts_total": float(sum(one.n for one in self._restarts.values())),
            "sotto_engine_process_restarts_total": float(self._engines.n_restarts if self._engines else 0),
        }

    def engines_ended(self, loading: "asyncio.Task[None]") -> None:
        """The engines have been loaded, or cannot be: then no worker can begin, and that is why.

        Args:
            loading: Has ended.
        """
        if loading.cancelled() or self.failure.done():
            return
        if error := loading.exception():
            self.failure.set_result((str(error), FAILED_STATUS))

    def pids(self) -> list[int]:
        """Of the processes that run, by number of the worker."""
        return [worker.process.pid for _, worker in sorted(self._workers.items())]

    def signal(self, number: signal.Signals) -> None:
        """Tell all to end as by a signal; none is started any more.

        Args:
            number: SIGTERM lets calls come to their end, if the settings say so; a second one ends them.
        """
        self.is_draining = True
        for worker in self._workers.values():
            worker.tell(signal=int(number))

    async def ended(self, within_secs: float) -> None:
        """Wait until all have ended; those that take longer are killed.

        Args:
            within_secs: So long they have.
        """
        self.is_draining = True
        if self._workers:
            await asyncio.wait(self._running, timeout=within_secs)
        await self.close()

    async def close(self) -> None:
        """End all at once."""
        self.is_draining = True
        for worker in self._workers.values():
            worker.process.kill()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, *self._notes, return_exceptions=True)

    async def _run(self, number: int) -> None:
        while not self.is_draining:
            try:
                worker = await start_worker(replace(self._order, number=number), self._mould)
            except OSError as error:
                logger.error(f"worker {number} cannot be started ({error.strerror or error})")
                await asyncio.sleep(self._restarts[number].delay_secs(0.0) or 1.0)
                continue
            self._workers[number] = worker
            if self.is_draining:
                worker.tell(signal=int(signal.SIGINT))
            try:
                await worker.listen(
                    lambda message, one=worker: self._hear(number, one, message), lambda: self._lost(number)
                )
            finally:
                self._lost(number)
            if not self.is_draining and not await self._goes_on(number, worker):
                return

    async def _goes_on(self, number: int, worker: Worker) -> bool:
        """After a worker has ended that was not to: whether it is started anew."""
        if worker.failure and number not in self._were_ready:
            if not self.failure.done():
                self.failure.set_result(worker.failure)
            return False
        delay_secs = self._restarts[number].delay_secs(time.monotonic() - worker.started_secs)
        why = worker.failure[0] if worker.failure else f"status {worker.process.status}"
        when = f"in {delay_secs:.1f} s" if delay_secs else "now"
        logger.error(f"worker {number} has ended ({why}), and its calls with it; it is started anew {when}")
        await asyncio.sleep(delay_secs)
        return True

    def _lost(self, number: int) -> None:
        self._workers.pop(number, None)
        self.routing.lost(number)
        self._told_elsewhere.pop(number, None)
        self._tell_elsewhere()
        for kind, taken in self._taken.items():
            if taken.pop(number, 0):
                self._tell_taken(kind)

    def _hear(self, number: int, worker: Worker, message: dict[str, Any]) -> None:
        if "place" in message:
            granted = self.routing.place(number)
            worker.tell(place=message["place"], granted=granted)
            self._tell_elsewhere()
        elif "left" in message:
            self.routing.left(number)
            self._tell_elsewhere()
        elif "slots" in message:
            kind = str(message["slots"])
            self._taken.setdefault(kind, Counter())[number] = int(message["taken"])
            self._tell_taken(kind, but=number)
        elif "up" in message:
            self.routing.up.add(number)
            for kind in self._taken:
                self._tell_taken(kind)
            self._note()
        elif "ready" in message:
            self.routing.ready.add(number)
            self._were_ready.add(number)
            self._tell_elsewhere()
            self._note()
        elif "failed" in message:
            worker.failure = str(message["failed"]), int(message["status"])

    def _tell_elsewhere(self) -> None:
        """Each worker hears how many calls the others hold, where that has changed."""
        for number, worker in self._workers.items():
            n_elsewhere = self.routing.n_calls - self.routing.calls_of(number)
            if self._told_elsewhere.get(number) != n_elsewhere:
                self._told_elsewhere[number] = n_elsewhere
                worker.tell(elsewhere=n_elsewhere)

    def _tell_taken(self, kind: str, but: int | None = None) -> None:
        """Workers hear how many requests of a kind the others answer."""
        taken = self._taken[kind]
        for number, worker in self._workers.items():
            if number != but:
                worker.tell(slots=kind, taken=taken.total() - taken[number])

    def _note(self) -> None:
        async def note() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.create_task(note())
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)
