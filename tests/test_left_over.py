"""The checker that says what a conversation has left running: it finds each kind, and nothing where there is none."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from tests.support.left_over import leaving_nothing

FOREVER = "import time; time.sleep(60)"


def leave_a_task() -> Callable[[], object]:
    task = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
    return task.cancel


def leave_a_thread() -> Callable[[], object]:
    ends = threading.Event()
    threading.Thread(target=ends.wait, name="forgotten").start()
    return ends.set


def leave_a_child() -> Callable[[], object]:
    child = subprocess.Popen([sys.executable, "-c", FOREVER])

    def end() -> None:
        child.kill()
        child.wait()

    return end


def leave_a_descriptor() -> Callable[[], object]:
    ends = os.pipe()
    return lambda: [os.close(end) for end in ends]


@pytest.mark.parametrize(
    ("leave", "found"),
    [
        (leave_a_task, "task forgotten"),
        (leave_a_thread, "thread forgotten"),
        (leave_a_child, "child process"),
        pytest.param(
            leave_a_descriptor,
            "descriptor pipe:",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="what descriptors stand for is in /proc"),
        ),
    ],
)
async def test_whatever_is_left_running_is_named(
    leave: Callable[[], Callable[[], object]], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.left_over.THREAD_ENDS_SECS", 0.05)
    end: list[Callable[[], object]] = []
    with pytest.raises(AssertionError, match=f"left over: {found}"):
        async with leaving_nothing(settle_secs=0.1):
            end.append(leave())
    end[0]()


async def test_what_has_ended_is_not_left_over() -> None:
    async with leaving_nothing():
        await asyncio.create_subprocess_exec(sys.executable, "-c", "")
        await asyncio.to_thread(leave_a_descriptor())
        soon = asyncio.create_task(asyncio.sleep(0.05))
        await asyncio.sleep(0)
        assert not soon.done()
