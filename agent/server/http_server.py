"""The HTTP server: uvicorn behind a door of ours, without signal handlers, and with a log that cannot be flooded.

In:  an application and listening sockets.   Out: answers, until `should_exit`.
"""

import asyncio
import logging
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn

from agent.server.guard.connections import HttpConnection
from agent.server.guard.descriptors import places_within, raise_limit
from agent.server.guard.door import Behind, Door
from agent.server.guard.places import Place, Places
from agent.server.guard.turnstile import Turnstile

LOG_SECS = 60.0
MAX_REMEMBERED = 100


class HttpServer(uvicorn.Server):
    """uvicorn without signal handlers of its own: a signal also ends models and conversations.

    Args:
        config: uvicorn's.
        max_calls: As many calls there may be; descriptors are kept for them.
    """

    def __init__(self, config: uvicorn.Config, max_calls: int = 1) -> None:
        super().__init__(config)
        most = places_within(raise_limit(), max_calls)
        # No network has them all: half is enough for a proxy with many people behind it.
        self.places = Places(most, max(1, most // 2))
        self._doors: list[Door] = []
        log = logging.getLogger("uvicorn.error")
        log.filters = [one for one in log.filters if not isinstance(one, OncePerMinute)]
        log.addFilter(OncePerMinute())

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open a door at each socket; uvicorn itself accepts nothing."""
        self.config.loaded_app = Turnstile(cast(Any, self.config.loaded_app))  # pyright: ignore[reportAttributeAccessIssue]
        await super().startup(sockets=[])
        behind = Behind(self._serve_place, self.config.ssl)
        self._doors = [Door(one, self.places, behind) for one in sockets or []]
        for door in self._doors:
            door.open()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the doors first."""
        await asyncio.gather(*(door.close() for door in self._doors))
        await super().shutdown(sockets)

    def _serve_place(self, place: Place) -> asyncio.Protocol:
        return HttpConnection(self.config, self.server_state, self.lifespan.state, places=self.places, place=place)


class OncePerMinute(logging.Filter):
    """Lets each message through once a minute, whoever provokes it; and never what is no error of ours.

    Args:
        clock: Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: OrderedDict[tuple[object, ...], float] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        if record.getMessage() == "ASGI callable returned without completing handshake.":
            # uvicorn takes every WebSocket that is refused by an HTTP answer for an error of ours.
            return False
        error = record.exc_info[1] if record.exc_info else None
        key = (record.msg, type(error), record.lineno)
        now_secs = self._clock()
        if now_secs - self._told.get(key, float("-inf")) < LOG_SECS:
            return False
        self._told[key] = now_secs
        self._told.move_to_end(key)
        while len(self._told) > MAX_REMEMBERED:
            self._told.popitem(last=False)
        return True
