"""A worker's way in: connections that the front hands it, and what the front says.

In:  two sockets of the front's.   Out: what run.py has to know of how callers come in; places for calls.
"""

import asyncio
import os
import signal
import socket
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from agent.server.guard.connections import HttpConnection, WebSocketConnection
from agent.server.guard.places import Place, Places
from agent.server.http_server import HttpServer
from agent.server.wire.slots import Slots
from agent.server.workers.control import Control
from agent.server.workers.handing import Taking
from agent.server.workers.origin import Origin
from agent.stopping import Stopping
from processors.child_process import kill_children

# The front keeps within its own limits; here nobody is turned away once more.
NO_LIMIT = 1_000_000
# After the front has ended, however that was.
LAST_SECS = 3.0


class _FrontedSocket(WebSocketConnection):
    """A WebSocket that came by the front."""

    def __init__(self, *, origin: Origin, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._origin = origin

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The caller's addresses count, not those of the front's own line."""
        super().connection_made(cast(asyncio.Transport, transport))
        self.client, self.server = self._origin.client, self._origin.server
        self.scheme = "wss" if self._origin.scheme == "https" else "ws"


class _FrontedConnection(HttpConnection):
    """A connection that came by the front."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        places: Places,
        place: Place,
        origin: Origin,
    ) -> None:
        super().__init__(config, server_state, app_state, places=places, place=place)
        self._origin = origin
        self.ws_protocol_class = cast(Any, partial(_FrontedSocket, places=places, place=place, origin=origin))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The caller's addresses count, not those of the front's own line."""
        super().connection_made(transport)
        self.client, self.server, self.scheme = self._origin.client, self._origin.server, self._origin.scheme


class WorkerServer(HttpServer):
    """Serves what the front hands over.

    Args:
        config: uvicorn's.
        max_calls: As many calls there may be.
        line: Connections come by it.
    """

    def __init__(self, config: uvicorn.Config, max_calls: int, line: socket.socket) -> None:
        super().__init__(config, max_calls)
        self._from_front = Places(NO_LIMIT, NO_LIMIT)
        self._taking = Taking(line, self._take)
        self._tasks: set[asyncio.Task[Any]] = set()
        self.is_up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections."""
        await super().startup(sockets)
        self._taking.open()
        self.is_up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take none any more."""
        self._taking.close()
        await super().shutdown(sockets)

    def _take(self, connection: socket.socket, origin: Origin) -> None:
        loop = asyncio.get_running_loop()
        place = self._from_front.enter("front", loop.time(), lambda: None)
        if place is None:
            connection.close()
            return

        def serve() -> asyncio.Protocol:
            return _FrontedConnection(
                self.config,
                self.server_state,
                self.lifespan.state,
                places=self._from_front,
                place=place,
                origin=origin,
            )

        task = loop.create_task(loop.connect_accepted_socket(serve, connection), name="from-front")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Seat:
    """What a worker has to know; an Entry, and CallPlaces.

    Args:
        number: Of the worker, from 0.
        address: What the front listens on.
        control: What the front says, and is told.
        line: Connections come by it.
        engines_at: Where the engines are, if not in this process.

    Attributes:
        stopping: Says when it is to end.
        is_first: Whether it also has the ports beside that of HTTP.
        places: For calls.
        engines_at: The same.
        n_elsewhere: How many calls the other workers hold.
    """

    def __init__(
        self, number: int, address: str, control: Control, line: socket.socket, engines_at: Path | None = None
    ) -> None:
        self.stopping = Stopping()
        self.is_first = number == 0
        self.engines_at = engines_at
        self.n_elsewhere = 0
        self.address = address
        self.options: dict[str, Any] = {}
        self._control = control
        self._line = line
        self._server: WorkerServer | None = None
        self._asked: dict[int, asyncio.Future[bool]] = {}
        self._slots: dict[str, Slots] = {}
        self._slots_elsewhere: dict[str, int] = {}
        self._n_asked = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def places(self) -> "Seat":
        """Itself."""
        return self

    def server(self, config: uvicorn.Config, max_calls: int) -> tuple[HttpServer, list[socket.socket]]:
        """What serves; it listens on nothing."""
        self._server = WorkerServer(config, max_calls, self._line)
        return self._server, []

    def open(self) -> None:
        """Begin; on the event loop."""
        for work in (self._hear(), self._tell_up()):
            task = asyncio.create_task(work, name="seat")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def tell(self) -> None:
        """The front says where the server is."""

    def tell_ready(self) -> None:
        """Tell the front that calls can be held."""
        self._control.tell(ready=True)

    def close(self) -> None:
        """Hear nothing more."""
        for task in self._tasks:
            task.cancel()

    async def take(self) -> bool:
        """Ask the front for a place for a call."""
        self._n_asked += 1
        answer = self._asked[self._n_asked] = asyncio.get_running_loop().create_future()
        self._control.tell(place=self._n_asked)
        return await answer

    def give(self) -> None:
        """Tell the front that a call has ended."""
        self._control.tell(left=True)

    def share(self, kind: str, slots: Slots) -> None:
        """Tell the front how many of these are taken, and count those that others have taken."""
        self._slots[kind] = slots
        slots.n_elsewhere = self._slots_elsewhere.get(kind, 0)
        slots.on_change = lambda n_active: self._control.tell(slots=kind, taken=n_active)

    async def _tell_up(self) -> None:
        if self._server:
            await self._server.is_up.wait()
            self._control.tell(up=True)

    async def _hear(self) -> None:
        async for message in self._control.messages():
            if "elsewhere" in message:
                self.n_elsewhere = int(message["elsewhere"])
            elif "place" in message:
                answer = self._asked.pop(message["place"], None)
                if answer and not answer.done():
                    answer.set_result(bool(message["granted"]))
                elif message["granted"]:
                    # Whoever asked is gone.
                    self.give()
            elif "slots" in message:
                kind, n_elsewhere = str(message["slots"]), int(message["taken"])
                self._slots_elsewhere[kind] = n_elsewhere
                if kind in self._slots:
                    self._slots[kind].n_elsewhere = n_elsewhere
            elif "signal" in message:
                self.stopping.stop(signal.Signals(message["signal"]))
        self._end_with_the_front()

    def _end_with_the_front(self) -> None:
        for answer in self._asked.values():
            answer.cancel()
        self.stopping.stop(signal.SIGINT)
        asyncio.get_running_loop().call_later(LAST_SECS, _end_at_once)


def _end_at_once() -> None:
    kill_children()
    os._exit(1)


def with_signals_ignored() -> None:
    """Have the front alone say when to end; whoever else signals this process means the whole server."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, _nothing)


def _nothing() -> None:
    return
