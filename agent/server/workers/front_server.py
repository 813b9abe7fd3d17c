"""The front's HTTP server: the same door and the same reading of requests as of one process that serves alone.

In:  connections.   Out: requests for an application that knows their connection; WebSockets, passed through.
"""

import asyncio
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from agent.server.guard.connections import HttpConnection
from agent.server.guard.descriptors import places_within, raise_limit
from agent.server.guard.places import Place, Places
from agent.server.http_server import HttpServer
from agent.server.workers.origin import Origin
from agent.server.workers.splice import Splice, Ways

# In the scope of a request.
CONNECTION = "sotto.connection"


class FrontConnection(HttpConnection):
    """A client's.

    Args:
        config: Of the server.
        server_state: Of the server.
        app_state: Of the application.
        places: All there are.
        place: This connection's.
        ways: Where WebSockets go.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        places: Places,
        place: Place,
        ways: Ways,
    ) -> None:
        super().__init__(config, server_state, app_state, places=places, place=place)
        self._ways = ways
        serve = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await cast(Any, serve)({**scope, CONNECTION: self}, receive, send)

        self.app = cast(Any, app)

    @property
    def origin(self) -> Origin:
        """Where it came from."""
        return Origin(self.client, self.server, self.scheme or "http")

    def handle_websocket_upgrade(self, event: Any) -> None:
        """A worker answers the handshake."""
        scope = {**self.scope, CONNECTION: self}
        self.ws_protocol_class = cast(
            Any, partial(Splice, places=self._places, place=self._place, scope=scope, ways=self._ways)
        )
        super().handle_websocket_upgrade(event)

    def cut(self) -> None:
        """Close it in the middle of an answer, so that the client sees that it is not whole."""
        self.transport.abort()


class FrontServer(HttpServer):
    """Serves it.

    Args:
        config: uvicorn's.
        max_calls: As many calls there may be.
        ways: Where WebSockets go.
    """

    def __init__(self, config: uvicorn.Config, max_calls: int, ways: Ways) -> None:
        super().__init__(config, max_calls)
        self._ways = ways
        # Each connection has another one, to a worker.
        limit = raise_limit()
        most = places_within(limit and limit // 2, 0)
        self.places = Places(most, max(1, most // 2))

    def _serve_place(self, place: Place) -> asyncio.Protocol:
        return FrontConnection(
            self.config,
            self.server_state,
            self.lifespan.state,
            places=self.places,
            place=place,
            ways=self._ways,
        )
