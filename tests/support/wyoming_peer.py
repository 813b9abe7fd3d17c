"""The real Wyoming server on a state of the application, in a test's process, and the `wyoming` package's client."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from wyoming.client import AsyncTcpClient
from wyoming.event import Event, Eventable

from agent.server.guard.places import Places
from agent.server.state import ServerState
from agent.server.wyoming.server import WyomingServer, bind_wyoming

TIMEOUT_SECS = 60.0
MOST_PLACES = 32


class Caller:
    """One connection of the package's own client.

    Args:
        client: Connected.
    """

    def __init__(self, client: AsyncTcpClient) -> None:
        self.client = client

    async def send(self, *events: Event | Eventable) -> None:
        for event in events:
            await self.client.write_event(event if isinstance(event, Event) else event.event())

    async def next(self) -> Event | None:
        """The next event; None at the end of the connection."""
        return await self.client.read_event()

    async def until(self, kind: str) -> list[Event]:
        """All events up to the first of a kind, that one included."""
        events: list[Event] = []
        while not events or events[-1].type != kind:
            event = await self.next()
            assert event is not None, [one.type for one in events]
            events.append(event)
        return events

    async def rest(self) -> list[Event]:
        """All events up to the end of the connection."""
        return [event async for event in self._events()]

    async def _events(self) -> AsyncIterator[Event]:
        while (event := await self.next()) is not None:
            yield event


class ServedWyoming:
    """A running Wyoming server.

    Attributes:
        server: It.
        places: Those of its connections.
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, server: WyomingServer, places: Places, port: int) -> None:
        self.server = server
        self.places = places
        self.port = port

    @asynccontextmanager
    async def caller(self) -> AsyncIterator[Caller]:
        """Connect; every wait is bounded."""
        client = AsyncTcpClient("127.0.0.1", self.port, connect_timeout=TIMEOUT_SECS, read_timeout=TIMEOUT_SECS)
        async with client:
            yield Caller(client)

    async def tell(self, *sent: bytes) -> bytes:
        """Send bytes, and take in all that comes back until the server closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            # Longer than anything that the server waits for.
            async with asyncio.timeout(10 * TIMEOUT_SECS):
                for piece in sent:
                    writer.write(piece)
                    await writer.drain()
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def serving_wyoming(state: ServerState, most_places: int = MOST_PLACES) -> AsyncIterator[ServedWyoming]:
    """Serve Wyoming on 127.0.0.1.

    Args:
        state: Its setting server.wyoming_port is 0.
        most_places: As many connections there may be.
    """
    bound = bind_wyoming(state.settings.server)
    assert bound is not None
    places = Places(most_places, most_places)
    server = WyomingServer(state, places, bound)
    server.open()
    try:
        yield ServedWyoming(server, places, bound.getsockname()[1])
    finally:
        await server.close()


def joined(events: Iterable[Event], kind: str) -> Any:
    """What all events of a kind hold, one after the other: their payloads, or their texts."""
    of_kind = [event for event in events if event.type == kind]
    if of_kind and of_kind[0].payload:
        return b"".join(event.payload or b"" for event in of_kind)
    return "".join(event.data["text"] for event in of_kind)
