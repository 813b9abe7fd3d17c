"""One worker as the front sees it: a process, what is told to it, and connections handed to it.

In:  settings.   Out: a process that serves; it ends when the front does, however that ends.
"""

import asyncio
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.server.workers.control import Control, control_of
from agent.server.workers.handing import Handing, handing_pair
from agent.settings.load import Settings

MODULE = "agent.server.worker_process"
# Beyond what a worker needs to end in order.
ENDING_SECS = 4.0


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


class Worker:
    """One process, from its start to its end; made by `start_worker`.

    Attributes:
        process: The process.
        handing: Hands connections to it.
        started_secs: When it was started, on the monotonic clock.
        was_ready: Whether it has held calls, or could have.
        failure: Why it could not begin, and the status that a command ends with for it.
    """

    def __init__(self, process: asyncio.subprocess.Process, control: Control, handing: Handing) -> None:
        self.process = process
        self.handing = handing
        self.started_secs = time.monotonic()
        self.was_ready = False
        self.failure: tuple[str, int] | None = None
        self._control = control

    def tell(self, **message: Any) -> None:
        """Say something to it (see control.py)."""
        self._control.tell(**message)

    async def listen(self, hear: Callable[[dict[str, Any]], None]) -> None:
        """Hear what it says until it has ended; nothing is left of it then.

        Args:
            hear: Called with each message.
        """
        try:
            async for message in self._control.messages():
                hear(message)
            await self._ended(ENDING_SECS)
        finally:
            self.kill()
            self._control.close()
            self.handing.close()
            await self.process.wait()

    def kill(self) -> None:
        """End it at once, with all that it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def _ended(self, within_secs: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), within_secs)


async def start_worker(order: Order) -> Worker:
    """Start a process.

    Args:
        order: What it is to be.

    Raises:
        OSError: It cannot be started.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    our_line, their_line = handing_pair()
    with theirs, their_line:
        descriptors = (theirs.fileno(), their_line.fileno())
        # In a session of its own: Ctrl-C is for the front, which tells the workers.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", MODULE, *map(str, descriptors)),
            stdin=asyncio.subprocess.PIPE,
            pass_fds=descriptors,
            start_new_session=True,
        )
    assert process.stdin is not None, "it was asked for"  # noqa: S101
    with suppress(OSError):
        process.stdin.write(pickle.dumps(order))
        await process.stdin.drain()
        process.stdin.close()
    ours.setblocking(False)
    return Worker(process, await control_of(ours), Handing(our_line))
