"""One worker as the front sees it: a process, what is told to it, and connections handed to it.

In:  settings.   Out: a process that serves; it ends when the front does, however that ends.
"""

import asyncio
import pickle
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.server.workers.control import Control, control_of
from agent.server.workers.handing import Handing, handing_pair
from agent.server.workers.mould import Child, Mould, started_alone
from agent.settings.load import Settings

# Beyond what a worker needs to end in order.
ENDING_SECS = 4.0
LENGTH = struct.Struct(">I")


@dataclass(frozen=True)
class Order:
    """What a worker is told at its start.

    Attributes:
        settings: Of the server, its token as callers have to show it.
        api_only: Whether there is nothing but the speech API.
        number: Of the worker, from 0.
        of: How many there are.
        address: What the front listens on, an IP address.
        engines_at: Where the engines are, if not in the worker.
    """

    settings: Settings
    api_only: bool
    number: int
    of: int
    address: str
    engines_at: Path | None = None


def read_order(line: socket.socket) -> Order:
    """What the front says first; blocks.

    Args:
        line: To the front.

    Raises:
        EOFError: The front has ended.
    """

    def read(n_bytes: int) -> bytes:
        data = b""
        while len(data) < n_bytes:
            if not (piece := line.recv(n_bytes - len(data))):
                raise EOFError
            data += piece
        return data

    line.setblocking(True)
    # It comes by a socket of the front's alone.
    return pickle.loads(read(*LENGTH.unpack(read(LENGTH.size))))  # noqa: S301


class Worker:
    """One process, from its start to its end; made by `start_worker`.

    Attributes:
        process: The process.
        handing: Hands connections to it.
        started_secs: When it was started, on the monotonic clock.
        failure: Why it could not begin, and the status that a command ends with for it.
    """

    def __init__(self, process: Child, control: Control, handing: Handing) -> None:
        self.process = process
        self.handing = handing
        self.started_secs = time.monotonic()
        self.failure: tuple[str, int] | None = None
        self._control = control

    def tell(self, **message: Any) -> None:
        """Say something to it (see control.py)."""
        self._control.tell(**message)

    async def listen(self, hear: Callable[[dict[str, Any]], None], gone: Callable[[], None]) -> None:
        """Hear what it says until it has ended; nothing is left of it then.

        Args:
            hear: Called with each message.
            gone: Called as soon as it takes nothing any more.
        """
        try:
            async for message in self._control.messages():
                hear(message)
            # It has hung up, and now ends; or something else has ended it.
            gone()
            await asyncio.wait([self.process.ended], timeout=ENDING_SECS)
        finally:
            self.process.kill()
            self._control.close()
            self.handing.close()
            await asyncio.wait([self.process.ended], timeout=ENDING_SECS)


async def start_worker(order: Order, mould: Mould | None) -> Worker:
    """Start a process.

    Args:
        order: What it is to be.
        mould: What it comes from; None: it is started from nothing.

    Raises:
        OSError: It cannot be started.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    our_line, their_line = handing_pair()
    start = mould.child if mould else started_alone
    try:
        with theirs, their_line:
            process = await start(theirs, their_line)
    except BaseException:
        ours.close()
        our_line.close()
        raise
    ours.setblocking(False)
    control = await control_of(ours)
    data = pickle.dumps(order)
    control.begin(LENGTH.pack(len(data)) + data)
    return Worker(process, control, Handing(our_line))
