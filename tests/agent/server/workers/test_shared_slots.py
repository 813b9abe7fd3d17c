"""Requests of one kind that all workers together answer: as many as the setting says, whichever worker has them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager

import pytest

from agent.server.wire.slots import Slots
from agent.server.workers.control import Control, control_of
from agent.server.workers.fleet import Fleet
from agent.server.workers.seat import Seat
from agent.server.workers.worker import Order, Worker
from agent.settings.load import Settings

WAIT_SECS = 20


class FullError(Exception):
    """All places are taken."""


async def ends() -> tuple[Control, Control]:
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    return await control_of(one), await control_of(other)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECS):
        while not is_so():
            await asyncio.sleep(0)


class Told(Worker):
    """A worker without a process: what is told to it reaches a seat."""

    def __init__(self, control: Control) -> None:
        self._control = control


@asynccontextmanager
async def seats(fleet: Fleet, n: int) -> AsyncIterator[list[Slots]]:
    found: list[Slots] = []
    opened: list[tuple[Seat, Control, Control, asyncio.Task[None]]] = []
    lines = socket.socketpair()
    for number in range(n):
        front, worker = await ends()
        seat, slots, told = Seat(number, "127.0.0.1", worker, lines[0]), Slots(2, FullError), Told(front)
        fleet._workers[number] = told

        async def hear(number: int = number, told: Told = told, front: Control = front) -> None:
            async for message in front.messages():
                fleet._hear(number, told, message)

        seat.open()
        seat.share("chat", slots)
        found.append(slots)
        opened.append((seat, front, worker, asyncio.create_task(hear())))
    yield found
    for seat, front, worker, hearing in opened:
        # Before the front is gone: a seat ends its process then.
        seat.close()
        hearing.cancel()
        await asyncio.gather(*seat._tasks, hearing, return_exceptions=True)
        front.close()
        worker.close()
    for line in lines:
        line.close()


async def test_a_place_that_one_worker_has_given_away_is_taken_for_the_others_too() -> None:
    fleet = Fleet(Order(Settings(), False, 0, 2, "127.0.0.1"))
    async with seats(fleet, 2) as (mine, theirs):
        with ExitStack() as taken:
            taken.enter_context(mine.taken())
            await until(lambda: theirs.n_elsewhere == 1)
            taken.enter_context(theirs.taken())
            await until(lambda: mine.n_elsewhere == 1)
            for slots in (mine, theirs):
                with pytest.raises(FullError), slots.taken():
                    pass
        await until(lambda: mine.n_elsewhere == theirs.n_elsewhere == 0)
        with mine.taken():
            await until(lambda: theirs.n_elsewhere == 1)
            # What a worker that has ended was answering is nobody's any more.
            fleet._lost(0)
            await until(lambda: theirs.n_elsewhere == 0)
