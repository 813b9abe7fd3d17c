"""Engines behind a socket, as the engine process has them; here it is a server on the test's own event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from agent.engines.host import ModelHost
from agent.engines.process.host import RemoteModelHost, connect_model_host
from agent.engines.process.server import EngineServer
from agent.engines.process.sockets import socket_folder
from agent.settings.load import Settings

PATIENCE_SECS = 60.0
POLL_SECS = 0.01


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so that tells nobody when it comes about.

    Raises:
        TimeoutError: It has not.
    """
    async with asyncio.timeout(PATIENCE_SECS):
        while not is_so():
            await asyncio.sleep(POLL_SECS)


@asynccontextmanager
async def serving_engines(path: Path, host: ModelHost, settings: Settings | None = None) -> AsyncIterator[EngineServer]:
    """A server that answers at a path with engines that a test made.

    Args:
        path: Of its socket.
        host: The engines; they stay open.
        settings: The server's.
    """
    server = EngineServer(settings or Settings(), host=host)
    await server.listen(path)
    await server.load()
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def engines_elsewhere(host: ModelHost, settings: Settings | None = None) -> AsyncIterator[RemoteModelHost]:
    """The same engines, reached through a socket."""
    settings = settings or Settings.model_validate({"tools": {"choice": "off"}})
    with socket_folder() as folder:
        async with serving_engines(folder / "engines", host, settings):
            remote = await connect_model_host(settings, folder / "engines")
            try:
                yield remote
            finally:
                await remote.close()
