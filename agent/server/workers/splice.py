"""A WebSocket passed through to a worker, byte by byte in both directions; the worker speaks with the client.

In:  a handshake, then whatever the client sends.   Out: the worker's answers.

A page says within the WebSocket which conversation it comes back to. Until then any worker may have it: the handshake
is answered by one, and if another has the conversation, that one is given the same handshake, and what it answers to it
is dropped.
"""

import asyncio
import socket
from typing import Any, Protocol, cast

from loguru import logger
from starlette.types import Scope

from agent.server.guard.connections import Placed
from agent.server.workers.first_message import FirstMessage
from agent.server.workers.handing import WorkerGoneError, WorkerStuckError

# As much of a client waits until it is known who has the call; so long may that take the worker.
MAX_WAITING_BYTES = 256 * 1024
MAX_HEAD_BYTES = 64 * 1024
NOBODY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 57\r\n\r\n"
    b"the agent is still loading its models; try again shortly\n"
)


class Ways(Protocol):
    """Where WebSockets go."""

    def by_handshake(self, scope: Scope) -> tuple[int | None, bool]:
        """The worker that is given a handshake, and whether the first message may name another."""
        ...

    def by_join(self, text: str, number: int) -> int | None:
        """The worker that has the call which a first message joins.

        Args:
            text: The message.
            number: Who has it if nobody else.
        """
        ...

    async def connect(self, number: int, scope: Scope) -> socket.socket:
        """A connection to a worker.

        Raises:
            WorkerGoneError: It has ended.
        """
        ...


class _WorkerSide(asyncio.Protocol):
    """The connection to one worker.

    Args:
        client: Whose.
        swallows: Whether the answer to the handshake is dropped.
    """

    def __init__(self, client: "_ClientSide", *, swallows: bool) -> None:
        self._client: _ClientSide | None = client
        self._head: bytes | None = b"" if swallows else None
        self.transport: asyncio.Transport | None = None
        self.is_through = asyncio.get_running_loop().create_future()
        if not swallows:
            self.is_through.set_result(True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._client is None:
            return
        if self._head is not None:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0 and len(self._head) <= MAX_HEAD_BYTES:
                return
            is_through = end >= 0 and self._head.startswith(b"HTTP/1.1 101")
            data, self._head = self._head[end + 4 :], None
            if not self.is_through.done():
                self.is_through.set_result(is_through)
            if not is_through:
                return
        if data:
            self._client.answer(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_through.done():
            self.is_through.set_result(False)
        if self._client:
            self._client.worker_lost()

    def pause_writing(self) -> None:
        if self._client:
            self._client.hold()

    def resume_writing(self) -> None:
        if self._client:
            self._client.let_on()

    def let_go(self) -> None:
        """Neither hear from the worker nor tell it anything more."""
        self._client = None
        if self.transport:
            self.transport.abort()


class _ClientSide(asyncio.Protocol):
    """The client's connection, as uvicorn builds it in place of a WebSocket."""

    def __init__(self, config: Any, server_state: Any, app_state: Any, *, scope: Scope, ways: Ways) -> None:
        self._connections = server_state.connections
        self._scope = scope
        self._ways = ways
        self._up: _WorkerSide | None = None
        self._is_open = False
        self._has_answer = False
        self._waiting = bytearray()
        self._first: FirstMessage | None = None
        self._is_known = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """To the client."""
        assert self._transport is not None, "uvicorn connects a protocol before it gives it data"  # noqa: S101
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(data), name="websocket-to-worker")
        elif self._is_open and self._up and self._up.transport:
            self._up.transport.write(data)
        else:
            self._waiting += data
            if self._first:
                self._first.feed(data)
                if self._first.text is not None:
                    self._is_known.set()
            if len(self._waiting) > MAX_WAITING_BYTES:
                self.hold()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._opening:
            self._opening.cancel()
        if self._up:
            self._up.let_go()

    def pause_writing(self) -> None:
        if self._up and self._up.transport:
            self._up.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._up and self._up.transport:
            self._up.transport.resume_reading()

    def shutdown(self) -> None:
        """The server ends; as uvicorn says it."""
        self.transport.close()

    def answer(self, data: bytes) -> None:
        """Pass on what the worker says."""
        self._has_answer = True
        self.transport.write(data)

    def worker_lost(self) -> None:
        """The worker has closed the line, or has ended."""
        if not self._has_answer:
            self.transport.write(NOBODY)
        self.transport.close()

    def hold(self) -> None:
        """Take nothing more of the client, for now."""
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def let_on(self) -> None:
        """Go on."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    async def _open(self, handshake: bytes) -> None:
        try:
            await self._begin(handshake)
        except (WorkerGoneError, WorkerStuckError):
            self.worker_lost()
        except OSError as error:
            logger.error(f"a WebSocket could not be passed to a worker: {error}")
            self.worker_lost()

    async def _begin(self, handshake: bytes) -> None:
        number, may_move = self._ways.by_handshake(self._scope)
        if number is None:
            self.worker_lost()
            return
        try:
            await self._connect(number, handshake)
        except WorkerGoneError:
            # It is no longer in the table.
            await self._begin(handshake)
            return
        if may_move:
            self._first = FirstMessage()
            self._first.feed(bytes(self._waiting))
            if self._first.text is not None:
                self._is_known.set()
        if self._first:
            await self._is_known.wait()
            other = self._ways.by_join(self._first.text or "", number)
            if other is not None and other != number and not await self._move(other, handshake):
                self.transport.close()
                return
        self._first = None
        self._is_open = True
        if self._up and self._up.transport and self._waiting:
            self._up.transport.write(bytes(self._waiting))
        self._waiting.clear()
        self.let_on()

    async def _connect(self, number: int, handshake: bytes, *, swallows: bool = False) -> None:
        line = await self._ways.connect(number, self._scope)
        side = _WorkerSide(self, swallows=swallows)
        await asyncio.get_running_loop().create_unix_connection(lambda: side, sock=line)
        self._up = side
        if side.transport:
            side.transport.write(handshake)

    async def _move(self, number: int, handshake: bytes) -> bool:
        """Give the connection to the worker that has the call; whether that took it."""
        if self._up:
            self._up.let_go()
        await self._connect(number, handshake, swallows=True)
        return bool(self._up and await self._up.is_through)


class Splice(Placed, _ClientSide):
    """The same with a place among the server's connections."""

    def data_received(self, data: bytes) -> None:
        """The handshake first, for which the connection still waits; then it works."""
        if self._opening is not None:
            self._places.work(self._place)
        super().data_received(data)
