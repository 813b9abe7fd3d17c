"""One HTTP request passed on to a worker, and its answer passed back, both framed anew.

In:  an ASGI request that the front's server has parsed.   Out: what the worker answers.

h11 reads and writes on either side: nothing that a client sends reaches a worker as it was sent, so that the two can
never disagree where a request ends. A worker gets one request a connection.

BrokenAnswerError    the worker ended before it had begun to answer, or in the middle of its answer
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import h11
from starlette.types import Message, Receive, Scope, Send

from agent.errors import SottoError

PIECE_BYTES = 64 * 1024
# Of one hop alone (RFC 9110, section 7.6.1).
OF_THE_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect")
)


class BrokenAnswerError(SottoError):
    """A worker ended while it was to answer.

    Args:
        has_begun: Whether a part of the answer has been passed on.
    """

    def __init__(self, *, has_begun: bool) -> None:
        super().__init__("the process that was to answer this has ended; try again")
        self.has_begun = has_begun


class Body:
    """A request's body, some of which the front may have read already.

    Args:
        receive: Of the request.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read: list[Message] = []

    async def start(self, most_bytes: int, within_secs: float) -> bytes | None:
        """Read it, and keep it for the worker.

        Args:
            most_bytes: So many at most.
            within_secs: At most.

        Returns:
            The whole of it; None where it is longer, slower, or the caller has hung up.
        """
        data = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_secs):
                while len(data) <= most_bytes:
                    message = await self._receive()
                    self._read.append(message)
                    if message["type"] != "http.request":
                        return None
                    data += message.get("body", b"")
                    if not message.get("more_body", False):
                        return data if len(data) <= most_bytes else None
        return None

    async def receive(self) -> Message:
        """As ASGI has it, from the beginning."""
        return self._read.pop(0) if self._read else await self._receive()


def head_of(scope: Scope) -> h11.Request:
    """The head of the request that a worker gets.

    Args:
        scope: Of the request.
    """
    names = {name for name, _ in scope["headers"]}
    headers = [(name, value) for name, value in scope["headers"] if name not in OF_THE_HOP]
    if b"transfer-encoding" in names:
        headers = [(name, value) for name, value in headers if name != b"content-length"]
        headers.append((b"transfer-encoding", b"chunked"))
    if b"host" not in names:
        # HTTP/1.0 knows requests without one; the guard refuses them.
        headers.append((b"host", b""))
    headers.append((b"connection", b"close"))
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    return h11.Request(method=scope["method"], target=target, headers=headers)


class _Exchange:
    """One request and its answer on a connection to a worker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._conn = h11.Connection(h11.CLIENT)

    async def send(self, head: h11.Request, receive: Receive) -> None:
        """Pass the request on; afterwards, and whatever happens, hang up when the caller does."""
        self._put(head)
        is_whole = False
        while True:
            message = await receive()
            if message["type"] != "http.request":
                self._writer.transport.abort()
                return
            if is_whole:
                continue
            if body := message.get("body", b""):
                self._put(h11.Data(data=body))
            if not message.get("more_body", False):
                is_whole = True
                self._put(h11.EndOfMessage())
            with suppress(OSError):
                await self._writer.drain()

    async def events(self) -> AsyncIterator[h11.Response | h11.Data]:
        """The answer, to its end.

        Raises:
            BrokenAnswerError: It did not come to its end.
        """
        has_begun = False
        while True:
            try:
                event = self._conn.next_event()
                if event is h11.NEED_DATA:
                    self._conn.receive_data(await self._reader.read(PIECE_BYTES))
                    continue
            except (OSError, h11.RemoteProtocolError) as error:
                raise BrokenAnswerError(has_begun=has_begun) from error
            if isinstance(event, h11.EndOfMessage):
                return
            if isinstance(event, (h11.Response, h11.Data)):
                has_begun = True
                yield event
            elif not isinstance(event, h11.InformationalResponse):
                raise BrokenAnswerError(has_begun=has_begun)

    def _put(self, event: Any) -> None:
        if self._conn.our_state is h11.ERROR or self._writer.transport.is_closing():
            return
        with suppress(h11.LocalProtocolError):
            if data := self._conn.send(event):
                self._writer.write(data)


@asynccontextmanager
async def _exchange(line: socket.socket, head: h11.Request, receive: Receive) -> AsyncIterator[_Exchange]:
    reader, writer = await asyncio.open_unix_connection(sock=line)
    exchange = _Exchange(reader, writer)
    sending = asyncio.create_task(exchange.send(head, receive), name="request")
    try:
        yield exchange
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.transport.abort()


async def pass_on(line: socket.socket, scope: Scope, receive: Receive, send: Send) -> None:
    """Have a worker answer a request.

    Args:
        line: To the worker; is closed.
        scope: Of the request.
        receive: Of the request.
        send: Of the request.

    Raises:
        BrokenAnswerError: The worker ended.
    """
    async with _exchange(line, head_of(scope), receive) as exchange:
        async for event in exchange.events():
            if isinstance(event, h11.Response):
                await send({"type": "http.response.start", "status": event.status_code, "headers": kept(event)})
            else:
                await send({"type": "http.response.body", "body": bytes(event.data), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def fetch(line: socket.socket, scope: Scope, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """A worker's whole answer to a request.

    Args:
        line: To the worker; is closed.
        scope: Of the request.
        body: Of the request.

    Returns:
        Status, headers, body.

    Raises:
        BrokenAnswerError: The worker ended.
    """
    waiting = asyncio.Event()
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await waiting.wait()
        return messages.pop()

    answer = b""
    status, headers = 0, list[tuple[bytes, bytes]]()
    async with _exchange(line, head_of(scope), receive) as exchange:
        async for event in exchange.events():
            if isinstance(event, h11.Response):
                status, headers = event.status_code, kept(event)
            else:
                answer += bytes(event.data)
    return status, headers, answer


def kept(answer: h11.Response) -> list[tuple[bytes, bytes]]:
    """Of a worker's headers those that are for the caller.

    Args:
        answer: The worker's.
    """
    return [(name, value) for name, value in answer.headers if name not in OF_THE_HOP]
