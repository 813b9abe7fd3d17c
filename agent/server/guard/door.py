"""The door: takes connections in one by one, before anything is built for them.

In:  a listening socket.   Out: connections that have begun to speak, handed to a protocol, encrypted where wanted.

Nothing is built for a connection that is silent; encryption begins with the first byte of a handshake, and has to be
agreed on in time. The accepting loop of asyncio takes in a whole backlog before anybody else gets a turn, and where
descriptors run out it writes a traceback for every connection; this one takes one connection a turn, and says once a
minute how many it turned away.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from loguru import logger

from agent.server.guard.places import REQUEST_SECS, Place, Places
from agent.server.guard.plain_http import answer_plain_http
from agent.server.wire.networks import network_of

# What the system keeps for us to accept; beyond it clients try again after a second.
BACKLOG = 128
SWEEP_SECS = 1.0
LOG_SECS = 60.0
# Where descriptors ran out all the same.
PAUSE_SECS = 0.1
TLS_SHUTDOWN_SECS = 2.0
# The first byte of a TLS connection: a record that holds a handshake (RFC 8446, section 5.1).
TLS_HANDSHAKE = b"\x16"
MOST_SHOWN = 3
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 39\r\n\r\n"
    b"too many connections; try again later.\n"
)


@dataclass(frozen=True)
class Behind:
    """What is behind a door.

    Attributes:
        serve: Makes the protocol of one connection; it calls `Places.leave` when the connection is lost.
        tls: What connections are encrypted with; None for plain ones.
        busy: What a plain one is told for which there is no place.
    """

    serve: Callable[[Place], asyncio.Protocol]
    tls: ssl.SSLContext | None = None
    busy: bytes = BUSY


class Door:
    """Accepts the connections of one listening socket until it is closed.

    Args:
        listening: Bound.
        places: Shared by all doors of a server.
        behind: What connections are handed to.
    """

    def __init__(self, listening: socket.socket, places: Places, behind: Behind) -> None:
        self._listening = listening
        self._places = places
        self._behind = behind
        self._tasks: set[asyncio.Task[None]] = set()
        self._told_secs = float("-inf")

    def open(self) -> None:
        """Begin; on the event loop."""
        self._listening.setblocking(False)
        self._listening.listen(BACKLOG)
        self._begin(asyncio.create_task(self._accept(), name="door"))
        self._begin(asyncio.create_task(self._sweep(), name="door-sweep"))

    async def close(self) -> None:
        """Accept nothing more; what has been handed over is left alone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, address = await loop.sock_accept(self._listening)
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._places.turned_away[error.strerror or str(error)] += 1
                self._places.make_room()
                await asyncio.sleep(PAUSE_SECS)
                continue
            self._take(client, network_of(str(address[0])))
            # Everything else that is due comes before the next connection.
            await asyncio.sleep(0)

    def _take(self, client: socket.socket, network: str) -> None:
        place = self._places.enter(network, asyncio.get_running_loop().time(), lambda: None)
        if place is None:
            if self._behind.tls is None:
                _say(client, self._behind.busy)
            client.close()
            return
        task = asyncio.create_task(self._welcome(client, place), name="door-connection")
        place.close = task.cancel
        self._begin(task)

    async def _welcome(self, client: socket.socket, place: Place) -> None:
        is_handed_over = False
        try:
            first = await first_byte(client)
            if first is None:
                return
            if self._behind.tls and first and first != TLS_HANDSHAKE:
                await answer_plain_http(client)
                return
            tls_limits = {"ssl_handshake_timeout": REQUEST_SECS, "ssl_shutdown_timeout": TLS_SHUTDOWN_SECS}
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._behind.serve(place),
                client,
                ssl=self._behind.tls,
                **(tls_limits if self._behind.tls else {}),
            )
            is_handed_over = True
        except OSError:
            # The client is gone, speaks no TLS, or took too long for it.
            return
        finally:
            if not is_handed_over:
                self._places.leave(place)
                client.close()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECS)
            self._places.close_overdue(loop.time())
            if self._places.turned_away and loop.time() - self._told_secs >= LOG_SECS:
                self._told_secs = loop.time()
                logger.warning(turned_away(self._places))
                self._places.turned_away.clear()


def turned_away(places: Places) -> str:
    """One line on connections that were refused, or closed before they had sent a request."""
    found = places.turned_away.most_common()
    shown = ", ".join(f"{n} of {network}" for network, n in found[:MOST_SHOWN])
    more = f" and {len(found) - MOST_SHOWN} networks more" if len(found) > MOST_SHOWN else ""
    return (
        f"{places.turned_away.total()} connections that sent no request, or for which there was no place "
        f"({places.most}, {places.most_of_network} for one network), were closed: {shown}{more}"
    )


async def first_byte(client: socket.socket) -> bytes | None:
    """Wait until a client has sent something, and leave it there to be read.

    Returns:
        The first byte; empty where the event loop cannot wait so (Windows); None if the client hung up.

    Raises:
        OSError: The connection failed.
    """
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(client, lambda: readable.done() or readable.set_result(None))
    except NotImplementedError:
        return b""
    try:
        await readable
    finally:
        loop.remove_reader(client)
    return client.recv(1, socket.MSG_PEEK) or None


def _say(client: socket.socket, answer: bytes) -> None:
    try:
        client.setblocking(False)
        client.send(answer)
    except OSError:
        return
