"""The engine process's end of one connection: messages in, one at a time, and answers out.

A side that sends faster than it is answered is not read from meanwhile; one that does not take its answers is hung up
on.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

from agent.engines.process.wire import Message, Unpacker, WireError, packed

# So many messages wait at most, the rest in the system's buffers and then with whoever sends them.
MAX_WAITING = 4
# An answer that is not taken for so long is for nobody.
TAKEN_WITHIN_SECS = 30.0
# While work goes on, whoever waits is told so; silent for much longer is only a process that hangs.
ALIVE_SECS = 2.0
ALIVE: Mapping[str, Any] = {"alive": True}


class GoneError(Exception):
    """The other side has hung up, or was hung up on."""


class Peer(asyncio.Protocol):
    """One connection; made by the event loop, handed to `serve` once it is there.

    Attributes:
        gone: Set when it has ended.
    """

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self._unpacker = Unpacker()
        self._messages: deque[Message] = deque()
        self._arrived: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a stream socket it is one
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            self._messages.extend(self._unpacker.feed(data))
        except WireError:
            self.hang_up()
            return
        if len(self._messages) >= MAX_WAITING and self._transport:
            self._transport.pause_reading()
        self._wake()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._room.clear()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.gone.set()
        self._room.set()
        self._wake()

    async def receive(self) -> Message:
        """The next message.

        Raises:
            GoneError: There is none any more.
        """
        while not self._messages:
            if self.gone.is_set():
                raise GoneError
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        message = self._messages.popleft()
        if len(self._messages) == MAX_WAITING - 1 and self._transport and not self.gone.is_set():
            self._transport.resume_reading()
        return message

    def send(self, head: Mapping[str, Any], body: bytes | memoryview = b"") -> None:
        """Send a message; what is sent to one that is gone is lost."""
        if self._transport and not self.gone.is_set():
            self._transport.write(packed(head, body))

    async def send_and_wait(self, head: Mapping[str, Any], body: bytes | memoryview = b"") -> None:
        """Send a message, and wait until there is room for another.

        Raises:
            GoneError: The other side is gone, or does not take what it has asked for.
        """
        self.send(head, body)
        try:
            await asyncio.wait_for(self._room.wait(), TAKEN_WITHIN_SECS)
        except TimeoutError:
            self.hang_up()
        if self.gone.is_set():
            raise GoneError

    def hang_up(self) -> None:
        """End the connection at once; what was not taken is thrown away."""
        if self._transport:
            self._transport.abort()

    def close(self) -> None:
        """End the connection once what was sent has been taken."""
        if self._transport:
            self._transport.close()

    def _wake(self) -> None:
        if self._arrived and not self._arrived.done():
            self._arrived.set_result(None)
