"""The tests' own clock: it stands still while anything is under way, and takes no real time otherwise."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager

import anyio.to_thread
import pytest

from tests.support.virtual_time import in_virtual_time, run_in_virtual_time

N_TIMES = 300


@asynccontextmanager
async def always_a_next_moment() -> AsyncIterator[None]:
    """Something waits for a thousandth of a second all the time: the clock jumps there as soon as it may."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    try:
        yield
    finally:
        ticking.cancel()


@in_virtual_time
async def test_time_stands_still_until_the_result_of_a_thread_is_there() -> None:
    with ThreadPoolExecutor(2) as pool:
        async with always_a_next_moment():
            loop = asyncio.get_running_loop()
            began_secs = loop.time()
            for number in range(N_TIMES):
                assert await loop.run_in_executor(pool, abs, -number) == number
                with pytest.raises(ValueError, match="invalid literal"):
                    await loop.run_in_executor(pool, int, "none")
            assert loop.time() == began_secs


@in_virtual_time
async def test_time_stands_still_while_a_thread_of_anyio_works() -> None:
    async with always_a_next_moment():
        began_secs = asyncio.get_running_loop().time()
        for number in range(N_TIMES):
            assert await anyio.to_thread.run_sync(abs, -number) == number
        assert asyncio.get_running_loop().time() == began_secs


@in_virtual_time
async def test_time_stands_still_while_bytes_are_on_their_way_and_while_an_end_is() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async with always_a_next_moment(), await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        loop = asyncio.get_running_loop()
        began_secs = loop.time()
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for number in range(N_TIMES):
            writer.write(b"%d\n" % number)
            assert await reader.readline() == b"%d\n" % number
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        assert loop.time() == began_secs


@in_virtual_time
async def test_a_thread_that_sleeps_sleeps_as_long_as_the_loop_would() -> None:
    with ThreadPoolExecutor(1) as pool:
        loop = asyncio.get_running_loop()
        began_secs = loop.time()
        await asyncio.gather(loop.run_in_executor(pool, time.sleep, 60.0), asyncio.sleep(59.0))
        assert loop.time() - began_secs == pytest.approx(60.0)


@in_virtual_time
async def test_work_that_is_cancelled_before_it_began_does_not_hold_the_clock() -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(time.sleep, 10.0)
        second = pool.submit(time.sleep, 1000.0)
        assert second.cancel()
        began_secs = time.monotonic()
        await asyncio.wrap_future(first)
        await asyncio.sleep(5.0)
        assert time.monotonic() - began_secs == pytest.approx(15.0)


@in_virtual_time
async def test_time_stands_still_while_the_end_of_what_was_not_read_from_is_on_its_way() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
        await asyncio.sleep(1.0)
        writer.close()

    async with always_a_next_moment(), await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            began_secs = loop.time()
            assert await reader.read() == b""
            assert loop.time() - began_secs == pytest.approx(1.0, abs=1e-4)
            writer.close()


def test_a_thread_that_sleeps_beyond_the_end_ends_with_it() -> None:
    pool = ThreadPoolExecutor(1)
    left: list[Future[None]] = []

    async def leave() -> None:
        left.append(pool.submit(time.sleep, 1e6))
        await asyncio.sleep(1.0)

    run_in_virtual_time(leave)
    with pytest.raises(SystemExit):
        left[0].result(timeout=60)
    pool.shutdown()
