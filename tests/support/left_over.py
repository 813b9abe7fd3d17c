"""What a conversation may leave behind: nothing. Tasks, threads, child processes and descriptors before and after."""

import asyncio
import gc
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

# asyncio's own pool stays as long as its event loop.
STAYS = ("asyncio_",)
SETTLE_SECS = 10.0
LOOK_SECS = 0.25
# Real time that a thread which has been told to end may take for it.
THREAD_ENDS_SECS = 1.0
DESCRIPTORS = Path("/proc/self/fd")


@dataclass
class Running:
    """What there is in this process and below it.

    Attributes:
        tasks: Of the running event loop that have not ended.
        threads: That are alive, but for those that stay by design.
        children: Processes that have not ended, by pid.
        descriptors: Files, sockets and pipes, by what they stand for; counted where that cannot be known.
    """

    tasks: set["asyncio.Task[object]"]
    threads: set[threading.Thread]
    children: set[int]
    descriptors: Counter[str] = field(default_factory=Counter[str])


def running() -> Running:
    """What there is now."""
    gc.collect()
    return Running(
        {task for task in asyncio.all_tasks() if not task.done()},
        {thread for thread in threading.enumerate() if not thread.name.startswith(STAYS)},
        {child.pid for child in psutil.Process().children(recursive=True)},
        _descriptors(),
    )


def _descriptors() -> Counter[str]:
    if not DESCRIPTORS.is_dir():
        return Counter()
    found: Counter[str] = Counter()
    for name in os.listdir(DESCRIPTORS):
        # The listing's own has gone again.
        with suppress(OSError):
            found[os.readlink(DESCRIPTORS / name)] += 1
    return found


def left_over(before: Running, now: Running) -> list[str]:
    """What is there that was not there before, one line each."""
    threads = now.threads - before.threads
    for thread in threads:
        thread.join(THREAD_ENDS_SECS)
    return [
        *(f"task {task.get_name()}: {task.get_coro()}" for task in now.tasks - before.tasks),
        *(f"thread {thread.name}" for thread in threads if thread.is_alive()),
        *(f"child process {pid}" for pid in now.children - before.children),
        *(f"descriptor {what}" for what in now.descriptors - before.descriptors),
    ]


@asynccontextmanager
async def leaving_nothing(settle_secs: float = SETTLE_SECS) -> AsyncIterator[None]:
    """Fail if what runs in here has left anything over, a while after its end.

    Args:
        settle_secs: How long the end may take.
    """
    before = running()
    yield
    ends_secs = asyncio.get_running_loop().time() + settle_secs
    while left := left_over(before, running()):
        if asyncio.get_running_loop().time() > ends_secs:
            raise AssertionError("left over: " + "; ".join(left))
        await asyncio.sleep(LOOK_SECS)
