"""One connection's line: a protocol of asyncio's that tells its place what it does, and what is sent through it.

In:  bytes of a client.   Out: a reader of them, and events that go back, for as long as the client is there.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

from wyoming.event import Event, Eventable

from agent.server.guard.connections import Placed
from agent.server.guard.places import REQUEST_SECS, Place, Places
from agent.server.wire.events import LINGER_SECS, SEND_SECS
from agent.server.wire.uploads import ClientGoneError
from agent.server.wyoming.events import MAX_LINE_BYTES, encoded

LINGER_BYTES = 64 * 1024


class Line(Placed, asyncio.StreamReaderProtocol):
    """A connection.

    Args:
        places: All there are.
        place: This connection's.
        begin: Told of the line once it is open.

    Attributes:
        reader: What the client sends.
    """

    def __init__(self, places: Places, place: Place, begin: "Callable[[Line], None]") -> None:
        self.reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
        super().__init__(
            places=places,
            place=place,
            stream_reader=self.reader,
            client_connected_cb=lambda _, writer: self._open(writer),
        )
        self._gone = asyncio.Event()
        self._begin = begin
        self._writer: asyncio.StreamWriter | None = None

    def _open(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._begin(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection can be closed by its transport from now on."""
        opened = cast(asyncio.Transport, transport)
        self._place.close, self._place.is_closing = opened.abort, opened.is_closing
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever is being done for the client can end."""
        super().connection_lost(exc)
        self._gone.set()

    def eof_received(self) -> bool | None:
        """The client sends no more: as with HTTP, it waits for no answer either."""
        self._gone.set()
        return super().eof_received()

    @property
    def address(self) -> str:
        """The client's."""
        peer = self._writer.get_extra_info("peername") if self._writer else None
        return str(peer[0]) if peer else ""

    def work(self) -> None:
        """The connection works from now on: nobody else gets its place."""
        self._places.work(self._place)

    def wait(self) -> None:
        """It waits for the next request, which is limited by whoever reads it, and gives way where places are few."""
        self._places.wait(self._place, None)

    async def send(self, *events: Event | Eventable) -> None:
        """Send to a client that takes it in.

        Raises:
            ClientGoneError: It hung up, or took in nothing for SEND_SECS.
        """
        if self._writer is None or self._writer.is_closing():
            raise ClientGoneError
        self._writer.write(b"".join(encoded(one if isinstance(one, Event) else one.event()) for one in events))
        try:
            async with asyncio.timeout(SEND_SECS):
                await self._writer.drain()
        except (OSError, TimeoutError):
            raise ClientGoneError from None

    async def close(self, *, politely: bool = False) -> None:
        """End the connection.

        Args:
            politely: Whether what the client still sends is taken in for a moment: closing at once could cost it the
                last event.
        """
        if self._writer is None:
            return
        if politely and not self._gone.is_set():
            self._places.wait(self._place, asyncio.get_running_loop().time() + REQUEST_SECS)
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(LINGER_SECS):
                    self._writer.write_eof()
                    while await self.reader.read(LINGER_BYTES):
                        pass
        self._writer.close()

    async def unless_gone(self, work: Coroutine[Any, Any, None]) -> None:
        """Work for as long as the client is there.

        Args:
            work: Is cancelled when the client hangs up, and awaited until it has ended.

        Raises:
            ClientGoneError: It hung up; the work was cancelled.
        """
        working, gone = asyncio.create_task(work, name="wyoming-request"), asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise ClientGoneError
        finally:
            for task in (working, gone):
                task.cancel()
            await asyncio.gather(working, gone, return_exceptions=True)

    def abort(self) -> None:
        """End it at once."""
        if self._writer:
            self._writer.transport.abort()
