"""Lets one request in at a time, so that a crowd of them leaves the event loop its turns for calls.

In:  requests.   Out: the same, each begun in a turn of the event loop of its own; nothing waits for another's answer.
"""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send


class Turnstile:
    """An ASGI application behind a turnstile.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._turn:
            await asyncio.sleep(0)
        await self._app(scope, receive, send)
