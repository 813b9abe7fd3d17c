"""A process that has imported all that a worker needs, and becomes a worker again and again, by forking.

In:  two sockets for each worker; two pipes for the engine process.   Out: its pid, and later how it ended.

What was imported lies in memory once for all of them, and one that has ended is replaced without seconds of imports.
Linux alone: elsewhere a process of many libraries may not go on after a fork, and each worker is started from nothing.
Only the front's half is here; the process itself is agent/server/worker_process.py.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from agent.server.workers.handing import KIND

MODULE = "agent.server.worker_process"
IS_POSSIBLE = sys.platform == "linux"
# What is to be forked; behind ENGINES comes the path at which the engine process is to answer.
WORKER, ENGINES = b"worker", b"engines "
MAX_MESSAGE_BYTES = 4096


@dataclass
class Child:
    """A process that was started.

    Attributes:
        pid: Of the process, and of its group.
        ended: Its exit status, once it has ended; negative for a signal, None where nobody knows.
    """

    pid: int
    ended: "asyncio.Future[int | None]"

    @property
    def status(self) -> int | None:
        """How it ended; None where that is not known."""
        return self.ended.result() if self.ended.done() and not self.ended.cancelled() else None

    def kill(self) -> None:
        """End it at once, with all that it has started."""
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)


class Mould:
    """The front's end; starts the process when it is needed first, and again when it has ended."""

    def __init__(self) -> None:
        self._line: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._asked: deque[asyncio.Future[int]] = deque()
        self._children: dict[int, Child] = {}

    async def child(self, control: socket.socket, line: socket.socket) -> Child:
        """A new worker.

        Args:
            control: Its end of what front and worker say to each other; left open here.
            line: Its end of what connections are handed by; left open here.

        Raises:
            OSError: The process cannot be started, or has ended.
        """
        return await self.forked(WORKER, control.fileno(), line.fileno())

    async def forked(self, what: bytes, *descriptors: int) -> Child:
        """A new process.

        Args:
            what: WORKER, or ENGINES and a path.
            descriptors: Two of its own; left open here.

        Raises:
            OSError: The process that it comes from cannot be started, or has ended.
        """
        async with self._starting:
            if self._line is None:
                await self._start()
        asked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self._line is None:
            raise OSError("the process that workers come from has ended")
        self._asked.append(asked)
        socket.send_fds(self._line, [what], descriptors)
        pid = await asked
        return self._children[pid]

    async def close(self) -> None:
        """End it; the workers end by themselves."""
        self._lost()
        if self._process:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _start(self) -> None:
        if self._process:
            await self._process.wait()
        ours, theirs = socket.socketpair(socket.AF_UNIX, KIND)
        ours.setblocking(False)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", MODULE, str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                # Ctrl-C is for the front, which tells the workers.
                start_new_session=True,
            )
        self._line = ours
        asyncio.get_running_loop().add_reader(ours, self._hear)

    def _hear(self) -> None:
        if self._line is None:
            return
        try:
            data = self._line.recv(MAX_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        message = json.loads(data)
        if "started" in message:
            pid = int(message["started"])
            self._children[pid] = Child(pid, asyncio.get_running_loop().create_future())
            asked = self._asked.popleft()
            if not asked.done():
                asked.set_result(pid)
        else:
            child = self._children.pop(int(message["ended"]), None)
            if child and not child.ended.done():
                child.ended.set_result(int(message["status"]))

    def _lost(self) -> None:
        if self._line:
            asyncio.get_running_loop().remove_reader(self._line)
            self._line.close()
            self._line = None
        while self._asked:
            asked = self._asked.popleft()
            if not asked.done():
                asked.set_exception(OSError("the process that workers come from has ended"))
        for child in self._children.values():
            if not child.ended.done():
                child.ended.set_result(None)
        self._children.clear()


async def started_alone(control: socket.socket, line: socket.socket) -> Child:
    """A new worker from nothing; as `Mould.child`.

    Args:
        control: Its end of what front and worker say to each other.
        line: Its end of what connections are handed by.

    Raises:
        OSError: It cannot be started.
    """
    descriptors = (control.fileno(), line.fileno())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", MODULE, *map(str, descriptors)),
        stdin=asyncio.subprocess.DEVNULL,
        pass_fds=descriptors,
        start_new_session=True,
    )

    async def ended() -> int | None:
        return await process.wait()

    return Child(process.pid, asyncio.ensure_future(ended()))
