"""A front with workers in the test's own process: real sockets and servers; what the workers serve is scripted.

What stands in for a process is its serving half alone, on the same two ends of the same sockets.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp, Scope

from agent.server.calls.websocket import UVICORN_OPTIONS
from agent.server.workers.front_app import FrontApp, Links
from agent.server.workers.front_server import CONNECTION, FrontServer
from agent.server.workers.handing import Handing, WorkerGoneError, handing_pair
from agent.server.workers.routing import Routing
from agent.server.workers.seat import WorkerServer


class Bench(Links):
    """Leads to the workers of one test."""

    def __init__(self, of: int) -> None:
        self.routing = Routing(of, 64)
        self.is_draining = False
        self.handings: dict[int, Handing] = {}

    async def someone(self, within_secs: float) -> bool:
        return bool(self.routing.up)

    async def line(self, number: int, scope: Scope) -> socket.socket:
        try:
            return await self.handings[number].connect(scope[CONNECTION].origin)
        except WorkerGoneError:
            self.routing.lost(number)
            raise

    def figures(self) -> Mapping[str, float]:
        return {"sotto_workers": float(len(self.routing.ready))}


@dataclass
class Fronted:
    """A front that listens.

    Attributes:
        bench: Its workers.
        server: Its server.
        servers: Those of the workers.
        port: Where it listens.
    """

    bench: Bench
    server: FrontServer
    servers: list[WorkerServer]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def kill(self, number: int) -> None:
        """End a worker as a crash does: every connection to it breaks off."""
        self.bench.routing.lost(number)
        self.bench.handings.pop(number).close()
        server = self.servers[number]
        for one in list(server.server_state.connections):
            one.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def fronted(apps: Sequence[ASGIApp]) -> AsyncIterator[Fronted]:
    """A front with a worker for each application."""
    bench = Bench(len(apps))
    servers: list[WorkerServer] = []
    serving: list[asyncio.Task[None]] = []
    for number, app in enumerate(apps):
        ours, theirs = handing_pair()
        config = uvicorn.Config(
            app, log_level="warning", timeout_graceful_shutdown=1, lifespan="off", **UVICORN_OPTIONS
        )
        server = WorkerServer(config, 64, theirs)
        serving.append(asyncio.create_task(server.serve([])))
        await server.is_up.wait()
        bench.handings[number] = Handing(ours)
        bench.routing.up.add(number)
        bench.routing.ready.add(number)
        servers.append(server)
    front_app = FrontApp(bench)
    config = uvicorn.Config(
        front_app,
        log_level="warning",
        timeout_graceful_shutdown=1,
        lifespan="off",
        ws="none",
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
    front = FrontServer(config, 64, front_app)
    bound = socket.create_server(("127.0.0.1", 0))
    serving.append(asyncio.create_task(front.serve([bound])))
    try:
        async with asyncio.timeout(30):
            while not front.started:
                await asyncio.sleep(0)
        yield Fronted(bench, front, servers, bound.getsockname()[1])
    finally:
        for one in (front, *servers):
            one.should_exit = True
        await asyncio.gather(*serving)
        for handing in bench.handings.values():
            handing.close()
        bound.close()
