"""Connections handed from one process to another of the same server, each with word of where it came from.

In:  an Origin.   Out: a stream socket; its other end is in the other process.

They pass through a pair of sockets that both processes hold from the beginning. No file leads there, so that nothing
is left of it whatever ends the processes, and nobody else can come in by it.

WorkerGoneError        the other process has ended
WorkerStuckError       it takes in no connections
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable

from agent.errors import SottoError
from agent.server.workers.origin import Origin, read_origin

# Messages keep their borders. macOS has no SOCK_SEQPACKET for these sockets.
KIND = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
MAX_ORIGIN_BYTES = 4096
FULL_SECS = 0.005
# A worker whose event loop does not even take connections in.
STUCK_SECS = 5.0


class WorkerGoneError(SottoError):
    """A worker has ended."""


class WorkerStuckError(SottoError):
    """A worker takes in no connections, for now."""


def handing_pair() -> tuple[socket.socket, socket.socket]:
    """The front's end, and a worker's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, KIND)
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


class Handing:
    """The front's end.

    Args:
        line: From `handing_pair`.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._turn = asyncio.Lock()

    async def connect(self, origin: Origin) -> socket.socket:
        """A connection to the worker.

        Args:
            origin: Whose it is.

        Raises:
            WorkerGoneError: It has ended.
            WorkerStuckError: It takes in none.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with theirs:
                await self._send(origin.to_bytes(), theirs.fileno())
            ours.setblocking(False)
        except BaseException:
            ours.close()
            raise
        return ours

    def close(self) -> None:
        """Hand over nothing more."""
        self._line.close()

    async def _send(self, data: bytes, descriptor: int) -> None:
        try:
            async with self._turn, asyncio.timeout(STUCK_SECS):
                while True:
                    with contextlib.suppress(BlockingIOError):
                        socket.send_fds(self._line, [data], [descriptor])
                        return
                    await asyncio.sleep(FULL_SECS)
        except TimeoutError:
            raise WorkerStuckError("a worker takes in no connections") from None
        except OSError as error:
            raise WorkerGoneError("a worker has ended") from error


class Taking:
    """A worker's end.

    Args:
        line: From `handing_pair`.
        take: Called with each connection.
    """

    def __init__(self, line: socket.socket, take: Callable[[socket.socket, Origin], None]) -> None:
        self._line = line
        self._take = take

    def open(self) -> None:
        """Begin; on the event loop."""
        asyncio.get_running_loop().add_reader(self._line, self._read)

    def close(self) -> None:
        """Take nothing more."""
        if self._line.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._line)
            self._line.close()

    def _read(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._line, MAX_ORIGIN_BYTES, 1)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            # The front has ended.
            self.close()
            return
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            connection = socket.socket(fileno=descriptor)
            connection.setblocking(False)
            self._take(connection, read_origin(data))
