"""uvicorn's protocols for HTTP and WebSockets, which tell a connection's place what the connection does.

In:  bytes of a client.   Out: as uvicorn; besides, whether the connection waits for a request, works or has stalled.

A body that arrives keeps its connection from being closed for time (the routes limit that), yet not its place: only
each further `PROGRESS_BYTES` of it put the connection behind the others that wait.
"""

import asyncio
import re
from functools import partial
from typing import Any, cast

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from agent.server.guard.places import REQUEST_SECS, Place, Places

PROGRESS_BYTES = 16 * 1024
# Sixteen bytes in base 64 (RFC 6455, section 4.1).
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")


class Placed:
    """What both kinds of connection tell their place; stands before uvicorn's own class.

    Args:
        places: All there are.
        place: This connection's.
        **kwargs: uvicorn's: config, server_state and app_state.
    """

    def __init__(self, *, places: Places, place: Place, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._places = places
        self._place = place

    def connection_lost(self, exc: Exception | None) -> None:
        """The place is free."""
        self._places.leave(self._place)
        cast(Any, super()).connection_lost(exc)

    def pause_writing(self) -> None:
        """The client takes in less than it is sent."""
        self._place.stalled_secs = asyncio.get_running_loop().time()
        cast(Any, super()).pause_writing()

    def resume_writing(self) -> None:
        """It has taken in most of it."""
        self._place.stalled_secs = None
        cast(Any, super()).resume_writing()


class HttpConnection(Placed, H11Protocol):
    """HTTP/1.1 until the connection becomes a WebSocket.

    Args:
        config: Of the server.
        server_state: Of the server.
        app_state: Of the application.
        places: All there are.
        place: This connection's.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, places: Places, place: Place
    ) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state, places=places, place=place)
        self._is_upgraded = False
        self._n_unnoticed = 0
        # As uvicorn calls it: with config, server_state and app_state.
        self.ws_protocol_class = cast(Any, partial(WebSocketConnection, places=places, place=place))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection can be closed by its transport from now on."""
        super().connection_made(cast(asyncio.Transport, transport))
        self._place.close, self._place.is_closing = self.transport.abort, self.transport.is_closing

    def data_received(self, data: bytes) -> None:
        """Note how far the request has come."""
        self._n_unnoticed += len(data)
        super().data_received(data)

    def handle_events(self) -> None:
        """After what has come was read, it is known whether the client owes us something."""
        was_idle = self._owes_head()
        super().handle_events()
        if self._is_upgraded:
            return
        if self._owes_head():
            if not was_idle:
                self._wait()
        elif self.cycle.more_body:
            if was_idle or self._n_unnoticed >= PROGRESS_BYTES:
                self._n_unnoticed = 0
                self._places.wait(self._place, None)
        else:
            self._places.work(self._place)

    def on_response_complete(self) -> None:
        """The next request has its own time."""
        self._wait()
        super().on_response_complete()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """The WebSocket tells from now on."""
        self._is_upgraded = True
        self._places.wait(self._place, None)
        super().handle_websocket_upgrade(event)

    def _should_upgrade(self) -> bool:
        """Whether it is a whole upgrade to a WebSocket; any other wish to upgrade is passed over (RFC 9110, 7.8)."""
        if self._get_upgrade() != b"websocket" or self.scope["method"] != "GET":
            return False
        headers = dict(self.headers)
        is_known = headers.get(b"sec-websocket-version", b"").strip() == b"13"
        return is_known and _KEY.fullmatch(headers.get(b"sec-websocket-key", b"").strip()) is not None

    def _owes_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._n_unnoticed = 0
        self._places.wait(self._place, self.loop.time() + REQUEST_SECS)


class WebSocketConnection(Placed, WebSocketsSansIOProtocol):
    """A WebSocket, which works from its client's first message on and until it is closed."""

    def send_receive_event_to_app(self) -> None:
        """A message has come, whole."""
        if not self.close_sent:
            self._places.work(self._place)
        super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        """What is being closed may give way."""
        await super().send(message)
        if self.close_sent:
            self._places.wait(self._place, self.loop.time() + REQUEST_SECS)
