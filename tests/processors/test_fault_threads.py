"""Threads that do not come back: counted, few, and in nobody's way."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from processors.engine_threads import EngineThreads, Job
from processors.errors import EngineHungError
from tests.conftest import REPOSITORY
from tests.support.virtual_time import in_virtual_time


def hang_until(released: threading.Event) -> None:
    while not released.is_set():
        time.sleep(1.0)


@in_virtual_time
async def test_fault_work_that_does_not_come_back_is_given_up_and_what_waits_behind_it_is_done() -> None:
    threads, released = EngineThreads(1, "t"), threading.Event()
    hung = asyncio.create_task(threads.run(lambda: hang_until(released), within_secs=5.0))
    behind = asyncio.create_task(threads.run(lambda: "done", within_secs=5.0))
    with pytest.raises(EngineHungError, match="does not come back"):
        await hung
    assert await behind == "done"
    assert threads.n_abandoned == 1
    released.set()
    await asyncio.sleep(2.0)
    threads.shutdown()


@in_virtual_time
async def test_fault_work_whose_caller_has_gone_is_given_up_by_the_next_who_waits() -> None:
    threads, released = EngineThreads(1, "t"), threading.Event()
    hung = asyncio.create_task(threads.run(lambda: hang_until(released), within_secs=5.0))
    await asyncio.sleep(1.0)
    hung.cancel()
    assert await threads.run(lambda: "done", within_secs=5.0) == "done"
    assert threads.n_abandoned == 1
    released.set()
    await asyncio.sleep(2.0)
    threads.shutdown()


@in_virtual_time
async def test_fault_after_a_few_abandoned_threads_the_engine_is_asked_no_more() -> None:
    threads, released = EngineThreads(2, "t", max_abandoned=2), threading.Event()
    for _ in range(2):
        with pytest.raises(EngineHungError, match="does not come back"):
            await threads.run(lambda: hang_until(released), within_secs=1.0)
    with pytest.raises(EngineHungError, match="2 threads of the engine hang"):
        await threads.run(lambda: "done", within_secs=1.0)
    released.set()
    await asyncio.sleep(2.0)
    threads.shutdown()


@in_virtual_time
async def test_fault_an_engine_whose_threads_come_back_late_is_asked_again() -> None:
    threads = EngineThreads(1, "t", max_abandoned=2)
    for _ in range(5):
        with pytest.raises(EngineHungError, match="does not come back"):
            await threads.run(lambda: time.sleep(4.0), within_secs=1.0)
        await asyncio.sleep(4.0)
        assert threads.n_abandoned == 0
        assert await threads.run(lambda: "done", within_secs=1.0) == "done"
    threads.shutdown()


@in_virtual_time
async def test_fault_work_that_gives_signs_of_life_may_take_as_long_as_it_likes() -> None:
    threads = EngineThreads(1, "t")

    def work() -> str:
        for _ in range(10):
            time.sleep(1.0)
            job.live()
        return "done"

    job = Job(work, 1.5)
    assert await threads.back(threads.put(job)) == "done"
    assert threads.n_abandoned == 0
    threads.shutdown()


@in_virtual_time
async def test_an_error_and_work_that_is_withdrawn_are_as_with_any_executor() -> None:
    threads = EngineThreads(1, "t")
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0, within_secs=1.0)
    busy = threads.submit(time.sleep, 1.0)
    withdrawn = threads.submit(lambda: "never")
    assert withdrawn.cancel()
    assert await threads.run(lambda: "next", within_secs=1.0) == "next"
    assert busy.done()
    threads.shutdown()
    with pytest.raises(RuntimeError):
        threads.submit(lambda: None)


@in_virtual_time
async def test_work_that_waits_when_the_threads_are_ended_fails_and_cancels_nobody() -> None:
    threads = EngineThreads(1, "t")
    busy = threads.submit(time.sleep, 1.0)
    waiting = threads.put(Job(lambda: "never", 1.0))
    threads.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(RuntimeError, match="t: the engine has been ended"):
        await threads.back(waiting)
    await asyncio.wrap_future(busy)


PROGRAM = """
import sys, threading, asyncio
import agent.cli as cli
from processors.engine_threads import EngineThreads
from processors.errors import EngineHungError
def command(**_):
    threads = EngineThreads(1, "t")
    try:
        asyncio.run(threads.run(threading.Event().wait, within_secs=0.1))
    except EngineHungError:
        print("given up", flush=True)
    sys.exit(7)
cli.app = command
cli.main()
"""


def test_fault_a_thread_that_hangs_does_not_keep_the_program_from_its_end() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, cwd=REPOSITORY)
    assert (ended.stdout.strip().splitlines()[-1:], ended.returncode) == (["given up"], 7)
