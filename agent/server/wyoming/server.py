"""The Wyoming server: a door at a port of its own, with the same places for connections as the HTTP server's.

In:  a bound socket.   Out: a session for each connection that may come in, until it is closed.

Wyoming knows no token. Whoever is on this machine is let in; beyond it, whom `server.wyoming_clients` names.
"""

import asyncio
import ipaddress
import socket

from wyoming.error import Error

from agent.errors import InputError
from agent.server.guard.access import address_of
from agent.server.guard.binding import bind
from agent.server.guard.door import Behind, Door
from agent.server.guard.places import Place, Places
from agent.server.state import ServerState
from agent.server.wire.uploads import ClientGoneError
from agent.server.wyoming.events import encoded
from agent.server.wyoming.info import Services
from agent.server.wyoming.line import Line
from agent.server.wyoming.session import Session
from agent.server.wyoming.waking import WakeService
from agent.settings.serving import ANYONE, ServerSettings

BUSY = encoded(Error("too many connections; try again later", "rate_limit_exceeded").event())
REFUSED = "{address} may not use this server: its setting server.wyoming_clients names who may"


def bind_wyoming(server: ServerSettings) -> socket.socket | None:
    """A socket bound to the port that the settings name; None where they name none.

    Raises:
        InputError: The port cannot be had, or others could reach it and none of them is allowed to.
    """
    if server.wyoming_port is None:
        return None
    bound = bind(server.host, server.wyoming_port, "--wyoming")
    address = str(bound.getsockname()[0])
    if not server.wyoming_clients and not _is_here(address):
        bound.close()
        raise InputError(
            f"--wyoming on {address}: Wyoming knows no token, so say who may use it: "
            "--set server.wyoming_clients=192.168.1.20 (addresses, networks, or any)"
        )
    return bound


class WyomingServer:
    """Serves Wyoming at a socket.

    Args:
        state: What is served.
        places: Of all connections.
        bound: The socket, which is closed in the end.
    """

    def __init__(self, state: ServerState, places: Places, bound: socket.socket) -> None:
        self._state = state
        self._places = places
        self._bound = bound
        self._wake = WakeService(state)
        self._services = Services(state, self._wake)
        self._door = Door(bound, places, Behind(self._serve, busy=BUSY))
        self._sessions: dict[asyncio.Task[None], Line] = {}
        clients = state.settings.server.wyoming_clients
        self._lets_all_in = ANYONE in clients
        self._networks = [ipaddress.ip_network(one, strict=False) for one in clients if one != ANYONE]

    @property
    def url(self) -> str:
        """Where it listens."""
        address, port = self._bound.getsockname()[:2]
        return f"tcp://{f'[{address}]' if ':' in address else address}:{port}"

    def open(self) -> None:
        """Begin; on the event loop."""
        self._door.open()

    async def close(self) -> None:
        """End every connection, with what is being done for it."""
        await self._door.close()
        sessions = dict(self._sessions)
        for session, line in sessions.items():
            line.abort()
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
        self._wake.close()
        self._bound.close()

    def _serve(self, place: Place) -> asyncio.Protocol:
        return Line(self._places, place, self._begin)

    def _begin(self, line: Line) -> None:
        admits = self._admits(line.address)
        session = Session(self._state, self._services, self._wake, line).run() if admits else _refuse(line)
        task = asyncio.create_task(session, name="wyoming")
        self._sessions[task] = line
        task.add_done_callback(lambda ended: self._sessions.pop(ended, None))

    def _admits(self, address: str) -> bool:
        ip = address_of(address)
        if self._lets_all_in or _is_here(address):
            return True
        return ip is not None and any(ip in network for network in self._networks)


async def _refuse(line: Line) -> None:
    try:
        await line.send(Error(REFUSED.format(address=line.address), "forbidden"))
    except ClientGoneError:
        return
    finally:
        await line.close(politely=True)


def _is_here(address: str) -> bool:
    """Whether an address is this machine's own alone."""
    ip = address_of(address)
    return ip is not None and ip.is_loopback
