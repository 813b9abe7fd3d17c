"""How callers come into a process that serves: by a port of its own, where it is the whole server.

In:  settings.   Out: an HTTP server, and what it listens on. A worker's way in is agent/server/workers/seat.py.
"""

import socket
from pathlib import Path
from typing import Any, Protocol

import uvicorn

from agent.server.calls.places import CallPlaces
from agent.server.guard.entrance import Entrance
from agent.server.http_server import HttpServer
from agent.settings.serving import ServerSettings
from agent.stopping import Stopping, stop_on_signals


class Entry(Protocol):
    """What a process that serves has to know of the way in.

    Attributes:
        stopping: Says when it is to end.
        is_first: Whether it also has the ports beside that of HTTP.
        engines_at: Where its engines are, if not within it.
    """

    stopping: Stopping
    is_first: bool
    engines_at: Path | None

    @property
    def places(self) -> CallPlaces | None:
        """For calls, where it shares them with other processes."""
        ...

    @property
    def address(self) -> str:
        """What the server listens on, an IP address."""
        ...

    @property
    def options(self) -> dict[str, Any]:
        """For uvicorn."""
        ...

    def server(self, config: uvicorn.Config, max_calls: int) -> tuple[HttpServer, list[socket.socket]]:
        """What serves, and what it listens on."""
        ...

    def open(self) -> None:
        """Begin, now that the server runs; on the event loop."""
        ...

    def tell(self) -> None:
        """Say where it is."""
        ...

    def tell_ready(self) -> None:
        """Say that calls can be held."""
        ...

    def close(self) -> None:
        """Nobody comes in any more."""
        ...


class OwnEntry:
    """A port, as the settings name it; signals end the process.

    Args:
        server: Of the settings, the token as callers have to show it.
        api_only: Whether there is nothing but the speech API.

    Raises:
        InputError: The port cannot be had, or the certificate cannot be used.
    """

    is_first = True
    places: CallPlaces | None = None
    engines_at: Path | None = None

    def __init__(self, server: ServerSettings, *, api_only: bool) -> None:
        self.stopping = stop_on_signals()
        self._entrance = Entrance(server, api_only=api_only)

    @property
    def address(self) -> str:
        """What the server listens on, an IP address."""
        return self._entrance.address

    @property
    def options(self) -> dict[str, Any]:
        """For uvicorn."""
        return self._entrance.options

    def server(self, config: uvicorn.Config, max_calls: int) -> tuple[HttpServer, list[socket.socket]]:
        """What serves, and what it listens on."""
        return HttpServer(config, max_calls), [self._entrance.bound]

    def open(self) -> None:
        """Begin, now that the server runs; on the event loop."""
        self._entrance.open()

    def tell(self) -> None:
        """Say where it is."""
        self._entrance.tell()

    def tell_ready(self) -> None:
        """Say that calls can be held."""
        self._entrance.tell_ready()

    def close(self) -> None:
        """Nobody comes in any more."""
        self._entrance.close()
        self._entrance.bound.close()
