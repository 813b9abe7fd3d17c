"""The threads that an engine works on, which go on without one that does not come back.

In:  work, with how long it may be silent.   Out: its result, or EngineHungError; the thread is then abandoned.

Nothing can end a thread from outside. An abandoned one keeps its memory, and its core if it computes, so only a few
may be: after that the engine is not asked any more, until one of them comes back after all.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ParamSpec, Protocol, TypeVar

from loguru import logger

from processors.errors import EngineHungError

P = ParamSpec("P")
T = TypeVar("T")

MAX_ABANDONED = 3
LOOK_SECS = 1.0
# No engine that works is silent for so long, beside what its work takes by nature.
HUNG_SECS = 10.0

E_co = TypeVar("E_co", covariant=True)


class Standby(Protocol[E_co]):
    """Has another engine at hand."""

    async def next(self) -> "tuple[E_co, EngineThreads] | None":
        """The engine and its threads; None where there is none."""
        ...


# What was given up and has not come back since.
_hanging: "set[Job]" = set()


def any_hangs() -> bool:
    """Whether a thread hangs, which the interpreter would wait for at its end."""
    return bool(_hanging)


class Job:
    """One piece of work.

    Attributes:
        future: Its result.
        took_secs: How long it has worked, once it is done.
        waited_secs: How long it waited for a thread, once it has begun.
    """

    def __init__(self, work: Callable[[], Any], within_secs: float) -> None:
        self.future: Future[Any] = Future()
        self._work = work
        self._within_secs = within_secs
        self._alive_secs: float | None = None
        self.took_secs = self.waited_secs = 0.0
        self._made_secs = time.monotonic()

    def live(self, within_secs: float | None = None) -> None:
        """A sign of life: the time begins anew.

        Args:
            within_secs: How long the work may be silent from now on, where that has changed.
        """
        self._within_secs = self._within_secs if within_secs is None else within_secs
        self._alive_secs = time.monotonic()

    def due_secs(self) -> float:
        """In how long it is overdue; while it has not begun, it is not."""
        if self._alive_secs is None:
            return float("inf")
        return self._alive_secs + self._within_secs - time.monotonic()

    def run(self) -> None:
        """Work, in the thread that has taken it."""
        if not self.future.set_running_or_notify_cancel():
            return
        self.live()
        began_secs = time.monotonic()
        self.waited_secs = began_secs - self._made_secs
        # Nobody waits any more for what was given up meanwhile.
        with suppress(InvalidStateError):
            try:
                result = self._work()
                self.took_secs = time.monotonic() - began_secs
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to who waits for the result
                self.took_secs = time.monotonic() - began_secs
                self.future.set_exception(error)
            else:
                self.future.set_result(result)
        _hanging.discard(self)


class EngineThreads(Executor):
    """One engine's threads.

    Args:
        max_workers: How many work at the same time; abandoned ones are not counted.
        name: Of the threads.
        max_abandoned: While so many do not come back, nothing more is taken.

    Attributes:
        n_abandoned: How many have not come back.
        max_workers: As given.
        name: As given.
        timed: Called in the thread with each job that came back, if anything is to know of it.
    """

    def __init__(self, max_workers: int, name: str, *, max_abandoned: int = MAX_ABANDONED) -> None:
        self.n_abandoned = 0
        self.timed: Callable[[Job], None] | None = None
        self.max_workers, self.name, self._max_abandoned = max_workers, name, max_abandoned
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._running: set[Job] = set()
        self._pool = ThreadPoolExecutor(max_workers, name)

    @property
    def n_waiting(self) -> int:
        """How many jobs wait for a thread."""
        return len(self._waiting)

    @property
    def is_exhausted(self) -> bool:
        """Whether the engine is given up."""
        return self.n_abandoned >= self._max_abandoned

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """See `Executor`; nobody looks whether it comes back, unless others wait behind it."""
        return self.put(Job(lambda: fn(*args, **kwargs), float("inf"))).future

    def put(self, job: Job) -> Job:
        """Queue a job.

        Raises:
            EngineHungError: The engine is given up.
            RuntimeError: The threads have been shut down.
        """
        if self.is_exhausted:
            raise EngineHungError(f"{self.name}: {self.n_abandoned} threads of the engine hang")
        with self._lock:
            self._waiting.append(job)
        self._begin()
        return job

    async def run(self, work: Callable[[], T], *, within_secs: float) -> T:
        """Have it done.

        Args:
            work: It may take `within_secs` once it has begun.
            within_secs: More than any engine takes that works.

        Raises:
            EngineHungError: It did not come back.
        """
        job = self.put(Job(work, within_secs))
        return await self.back(job)

    async def back(self, job: Job) -> Any:
        """Wait until a job is done, or has failed; meanwhile whatever is overdue in these threads is given up.

        Raises:
            EngineHungError: It did not come back.
            RuntimeError: The threads were shut down before it had begun.
        """
        done = asyncio.wrap_future(job.future)
        try:
            while not done.done():
                self.give_up_overdue()
                with self._lock:
                    dues = [running.due_secs() for running in self._running]
                await asyncio.wait([done], timeout=max(0.01, min([LOOK_SECS, *dues])))
            # A cancellation would end the task that waits, which nobody has cancelled.
            if done.cancelled():
                raise RuntimeError(f"{self.name}: the engine has been ended")
            return done.result()
        finally:
            if not done.done():
                done.cancel()

    def give_up_overdue(self) -> None:
        """Abandon the threads of all jobs that are overdue, and let others do the rest."""
        with self._lock:
            overdue = [job for job in self._running if job.due_secs() <= 0 and not job.future.done()]
            for job in overdue:
                self._running.discard(job)
                self.n_abandoned += 1
                _hanging.add(job)
            if overdue:
                old, self._pool = self._pool, ThreadPoolExecutor(self.max_workers, self.name)
                old.shutdown(wait=False)
        for job in overdue:
            logger.warning(f"{self.name}: a thread does not come back and is abandoned ({self.n_abandoned} so far)")
            with suppress(InvalidStateError):
                job.future.set_exception(EngineHungError(f"{self.name}: the engine does not come back from its work"))
        if overdue:
            self._begin()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor`; abandoned threads are not waited for."""
        with self._lock:
            waiting, self._waiting = list(self._waiting), deque[Job]()
        for job in waiting:
            job.future.cancel()
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _begin(self) -> None:
        with self._lock:
            while self._waiting and len(self._running) < self.max_workers:
                job = self._waiting[0]
                self._pool.submit(self._work, job)
                self._waiting.popleft()
                self._running.add(job)

    def _work(self, job: Job) -> None:
        try:
            job.run()
            if self.timed and not job.future.cancelled():
                self.timed(job)
        finally:
            with self._lock:
                if job in self._running:
                    self._running.discard(job)
                else:
                    # It had been given up, and has come back after all.
                    self.n_abandoned -= 1
            # The pool may have been shut down meanwhile.
            try:
                self._begin()
            except RuntimeError:
                self.shutdown(wait=False)
