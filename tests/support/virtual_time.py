"""A clock that tests own: a conversation of a minute passes as fast as it can be computed, and always the same way.

The event loop's clock and `time.monotonic`, `time.time` and `time.perf_counter` are one. It stands still while anything
works: a callback, a thread of an executor, bytes on their way through a socket. When all wait, it jumps to the next
moment that anybody waits for. A thread that calls `time.sleep` waits for the same clock.

A thread of a pool works until the loop has been told its result. Bytes are on their way until the kernel has had them
acknowledged, which on loopback it does once they wait to be read; only where it cannot be asked is any real time left
for them to arrive.

    @in_virtual_time
    async def test_a_reply_that_takes_a_minute() -> None: ...

Not for tests with other processes or real devices: what they do takes no virtual time.
"""

import asyncio
import contextvars
import functools
import heapq
import itertools
import os
import selectors
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any, ParamSpec

import anyio.to_thread
import pytest

if sys.platform == "linux":
    from fcntl import ioctl

P = ParamSpec("P")

_real_monotonic = time.monotonic
_real_submit = ThreadPoolExecutor.submit
_real_set_result = Future.set_result
_real_set_exception = Future.set_exception
# Bytes on a loopback socket are under way for less than this.
GRACE_SECS = 0.0005
# How many bytes a socket has sent that are not acknowledged (tcp(7)).
SIOCOUTQ = 0x5411
# No file's inode.
CLOSED = -1
# While threads work, the loop looks for what they call back.
WORKING_SECS = 0.05
# A test that waits for nothing in particular is ended. What only computes is not: the longest takes four minutes on a
# quiet machine.
LIMIT_SECS = 900.0


class VirtualClock:
    """The time, and who waits for it."""

    def __init__(self) -> None:
        self.now_secs = _real_monotonic()
        self._lock = threading.Lock()
        # Of each pool: what it has been given and not done yet, of which no more than its threads are being worked on.
        self._given: dict[ThreadPoolExecutor, int] = {}
        self._sleepers: list[tuple[float, int, threading.Event]] = []
        self._order = itertools.count()
        self._wake: Callable[[], None] | None = None
        self._is_over = False

    def is_working(self, wake: Callable[[], None] | None = None) -> bool:
        """Whether any thread does anything but sleep; if so, `wake` is called once one ends or sleeps."""
        with self._lock:
            n_working = sum(min(n_given, pool._max_workers) for pool, n_given in self._given.items())
            is_working = n_working > len(self._sleepers)
            self._wake = wake if is_working else None
            return is_working

    def forget_wake(self) -> None:
        """Wake nobody any more."""
        with self._lock:
            self._wake = None

    def _changes(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            wake()

    def work_begins(self, pool: ThreadPoolExecutor) -> None:
        """A pool has been given something to do."""
        with self._lock:
            self._given[pool] = self._given.get(pool, 0) + 1

    def work_ends(self, pool: ThreadPoolExecutor) -> None:
        """It has done it."""
        with self._lock:
            self._given[pool] -= 1
            if not self._given[pool]:
                del self._given[pool]
            self._changes()

    def sleep(self, duration_secs: float) -> None:
        """What `time.sleep` is in a thread of a pool.

        Raises:
            SystemExit: This time is over; the thread would sleep for ever, and the interpreter wait for it at its end.
        """
        if duration_secs <= 0:
            return
        woken = threading.Event()
        with self._lock:
            heapq.heappush(self._sleepers, (self.now_secs + duration_secs, next(self._order), woken))
            self._changes()
            if self._is_over:
                woken.set()
        woken.wait()
        if self._is_over:
            raise SystemExit

    def end(self) -> None:
        """End every thread that sleeps."""
        with self._lock:
            self._is_over = True
            for _, _, woken in self._sleepers:
                woken.set()

    def advance(self, timeout_secs: float | None) -> bool:
        """Jump to the next moment that anybody waits for.

        Args:
            timeout_secs: How far away the loop's own next moment is; None if it has none.

        Returns:
            False if nobody waits for any moment.
        """
        with self._lock:
            until_secs = None if timeout_secs is None else self.now_secs + timeout_secs
            if self._sleepers and (until_secs is None or self._sleepers[0][0] <= until_secs):
                until_secs = max(self.now_secs, self._sleepers[0][0])
                heapq.heappop(self._sleepers)[2].set()
            if until_secs is None:
                return False
            self.now_secs = max(self.now_secs, until_secs)
            return True


class _Sends(Enum):
    """How it can be known that what was sent into a file has arrived."""

    NOTHING = auto()
    AT_ONCE = auto()
    ACKNOWLEDGED = auto()
    UNKNOWN = auto()


def _how_sends(fd: int) -> _Sends:
    if sys.platform != "linux":
        return _Sends.UNKNOWN
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return _Sends.NOTHING
    with socket.socket(fileno=os.dup(fd)) as opened:
        if opened.family == socket.AF_UNIX:
            return _Sends.AT_ONCE
        if opened.type != socket.SOCK_STREAM:
            return _Sends.UNKNOWN
        is_listening = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return _Sends.NOTHING if is_listening else _Sends.ACKNOWLEDGED


def _inode(fd: int) -> int | None:
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return None


class _VirtualSelector(selectors.DefaultSelector):
    """Waits for sockets as ever, and for time by moving it."""

    clock: VirtualClock
    wake: Callable[[], None]
    gives_up_secs = float("inf")

    def __init__(self) -> None:
        super().__init__()
        self._sends: dict[int, _Sends] = {}
        # What is no longer looked at, and which file that was: a socket that is closed says so to its other end, one
        # that is only not read from for a while does not.
        self._left: dict[int, int] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """See selectors.BaseSelector."""
        key = super().register(fileobj, events, data)
        self._sends[key.fd] = _how_sends(key.fd)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """See selectors.BaseSelector."""
        key = super().unregister(fileobj)
        del self._sends[key.fd]
        inode = _inode(key.fd)
        # Closed already, it has no file any more.
        self._left[key.fd] = CLOSED if inode is None else inode
        return key

    def _has_closed(self) -> bool:
        """Whether one that was left has been closed since this was asked last."""
        closed = [fd for fd, inode in self._left.items() if _inode(fd) != inode]
        for fd in closed:
            del self._left[fd]
        return bool(closed)

    def _grace_secs(self) -> float:
        if self._has_closed() or not all(self._has_arrived(key) for key in self.get_map().values()):
            return GRACE_SECS
        return 0.0

    def _has_arrived(self, key: selectors.SelectorKey) -> bool:
        sends = self._sends[key.fd]
        # One that waits to write has not sent all, or is not connected yet.
        if sends is _Sends.UNKNOWN or key.events & selectors.EVENT_WRITE:
            return False
        return sends is not _Sends.ACKNOWLEDGED or ioctl(key.fd, SIOCOUTQ, bytes(4)) == bytes(4)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if _real_monotonic() > self.gives_up_secs:
            self.gives_up_secs = float("inf")
            raise TimeoutError("not over when its real time was up")
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.clock.is_working(self.wake):
            try:
                return super().select(WORKING_SECS)
            finally:
                self.clock.forget_wake()
        ready = super().select(self._grace_secs())
        if ready or self.clock.is_working():
            return ready
        if not self.clock.advance(timeout):
            return super().select(WORKING_SECS)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on that clock."""

    def __init__(self, clock: VirtualClock, limit_secs: float) -> None:
        selector = _VirtualSelector()
        selector.clock = clock
        selector.gives_up_secs = _real_monotonic() + limit_secs
        self._virtual_clock = clock
        super().__init__(selector)
        selector.wake = self._wake_up

    def _wake_up(self) -> None:
        self.call_soon_threadsafe(lambda: None)

    def time(self) -> float:
        """Seconds on the virtual clock."""
        return self._virtual_clock.now_secs


async def _in_a_pool(function: Callable[..., Any], *args: Any, **_: Any) -> Any:
    """In place of anyio's own threads, in which Starlette looks at files: those of a pool are known to work."""
    work = functools.partial(contextvars.copy_context().run, function, *args)
    return await asyncio.get_running_loop().run_in_executor(None, work)


@contextmanager
def _owning_time(clock: VirtualClock) -> Iterator[None]:
    """Put the virtual clock into every place where Python looks for the time."""
    epoch_secs = time.time() - clock.now_secs
    loop_thread = threading.current_thread()
    originals = (time.monotonic, time.monotonic_ns, time.perf_counter, time.time, time.time_ns, time.sleep)
    run_sync, anyio.to_thread.run_sync = anyio.to_thread.run_sync, _in_a_pool

    def sleep(duration_secs: float) -> None:
        if threading.current_thread() is loop_thread:
            raise RuntimeError("time.sleep on the event loop")
        clock.sleep(duration_secs)

    done = threading.local()

    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        def work() -> Any:
            try:
                return fn(*args, **kwargs)
            finally:
                # The pool sets the result next, in this thread; who waits for it is told by then.
                done.pool = self

        def end_cancelled(future: "Future[Any]") -> None:
            if future.cancelled():
                clock.work_ends(self)

        clock.work_begins(self)
        try:
            future = _real_submit(self, work)
        except RuntimeError:
            # The pool has been shut down.
            clock.work_ends(self)
            raise
        future.add_done_callback(end_cancelled)
        return future

    def ending_work(setter: Callable[["Future[Any]", Any], None]) -> Callable[["Future[Any]", Any], None]:
        def set_outcome(self: "Future[Any]", outcome: Any) -> None:
            pool = done.__dict__.pop("pool", None)
            setter(self, outcome)
            if pool is not None:
                clock.work_ends(pool)

        return set_outcome

    time.monotonic = time.perf_counter = lambda: clock.now_secs
    time.monotonic_ns = lambda: round(clock.now_secs * 1e9)
    time.time = lambda: clock.now_secs + epoch_secs
    time.time_ns = lambda: round((clock.now_secs + epoch_secs) * 1e9)
    time.sleep = sleep
    ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]
    Future.set_result = ending_work(_real_set_result)  # type: ignore[method-assign]
    Future.set_exception = ending_work(_real_set_exception)  # type: ignore[method-assign]
    try:
        yield
    finally:
        clock.end()
        anyio.to_thread.run_sync = run_sync
        (time.monotonic, time.monotonic_ns, time.perf_counter, time.time, time.time_ns, time.sleep) = originals
        ThreadPoolExecutor.submit = _real_submit  # type: ignore[method-assign]
        Future.set_result = _real_set_result  # type: ignore[method-assign]
        Future.set_exception = _real_set_exception  # type: ignore[method-assign]


def run_in_virtual_time(main: Callable[[], Coroutine[Any, Any, Any]], *, limit_secs: float = LIMIT_SECS) -> Any:
    """Run a coroutine function to its end on a clock of its own; what it returns is returned.

    Args:
        main: Makes the coroutine.
        limit_secs: Of real time.

    Raises:
        TimeoutError: It was not over by then.
    """
    clock = VirtualClock()
    with _owning_time(clock), asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(clock, limit_secs)) as runner:
        return runner.run(main())


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make an async test an ordinary one that runs in virtual time, on whichever worker is free."""

    @pytest.mark.apart
    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_in_virtual_time(lambda: test(*args, **kwargs))

    return run
