"""`sotto serve` with several workers: the process that owns the port.

In:  settings.   Out: callers' connections, each with the worker that has its call.

No engine and no conversation is in it, nor a library of theirs: it is small, and its event loop waits for nothing.
"""

import asyncio
import logging
import signal
import sys
from contextlib import ExitStack
from functools import partial

import uvicorn

from agent.engines.process.sockets import socket_folder
from agent.engines.process.supervisor import EngineProcess, started_alone
from agent.errors import InputError, SottoError
from agent.server.guard.entrance import Entrance
from agent.server.guard.token import with_token
from agent.server.workers.fleet import Fleet
from agent.server.workers.forked import forked_engines
from agent.server.workers.front_app import FrontApp
from agent.server.workers.front_server import FrontServer
from agent.server.workers.mould import IS_POSSIBLE, Mould
from agent.server.workers.worker import ENDING_SECS, Order
from agent.settings.load import Settings
from agent.stopping import Stopping, stop_on_signals

# Of the three seconds in which a signal ends everything, for requests under way.
REQUESTS_SECS = 1
# What a worker needs to end in order.
ORDER_SECS = 3.0


class FailedWorkerError(SottoError):
    """No worker could begin; the message is its own.

    Args:
        message: One line.
        status: That a command ends with.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.exit_status = status


def run_front(settings: Settings, *, api_only: bool = False) -> int:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: What to serve, where, and by how many workers.
        api_only: Serve nothing but the speech API and /health.

    Returns:
        The exit status: 0, or that of the signal which came before the models were loaded.

    Raises:
        FailedWorkerError: A worker could not begin: a stage has no usable engine, or a port cannot be had.
        InputError: The port cannot be had, the certificate cannot be used, or this system has no workers.
    """
    check(settings)
    return asyncio.run(_serve(settings, api_only))


def check(settings: Settings) -> None:
    """Refuse what several workers cannot do.

    Args:
        settings: Of the server.

    Raises:
        InputError: One line says what, and what mends it.
    """
    workers = f"server.workers = {settings.server.workers}"
    if sys.platform == "win32":
        raise InputError(f"{workers} needs Linux or macOS: --set server.workers=1")
    if settings.timers.keep:
        raise InputError(f"timers.keep needs a single process, and {workers}: set one of them back")


async def _serve(settings: Settings, api_only: bool) -> int:
    stopping = stop_on_signals()
    settings = with_token(settings)
    entrance = Entrance(settings.server, api_only=api_only)
    with ExitStack() as stack:
        engines_at = None if api_only else stack.enter_context(socket_folder()) / "engines.sock"
        mould = Mould() if IS_POSSIBLE else None
        start = partial(forked_engines, mould) if mould else started_alone
        engines = EngineProcess(settings, engines_at, start_process=start) if engines_at else None
        order = Order(settings, api_only, 0, settings.server.workers, entrance.address, engines_at)
        try:
            return await _serve_fleet(Fleet(order, engines, mould), entrance, engines, stopping, settings)
        finally:
            if mould:
                await mould.close()


async def _serve_fleet(
    fleet: Fleet, entrance: Entrance, engines: EngineProcess | None, stopping: Stopping, settings: Settings
) -> int:
    server = _server(fleet, entrance, settings)
    serving = asyncio.create_task(server.serve([entrance.bound]))
    loading = asyncio.create_task(engines.start(), name="engines") if engines else None
    try:
        entrance.open()
        fleet.open()
        if not await _ready(fleet, loading, stopping):
            return stopping.exit_status
        entrance.tell()
        entrance.tell_ready()
        await _until_stopped(stopping, serving)
        await _drain(fleet, stopping, settings)
        return 0
    finally:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await fleet.close()
        if engines and loading:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            await engines.close()
        server.should_exit = True
        await serving
        entrance.close()
        entrance.bound.close()


def _server(fleet: Fleet, entrance: Entrance, settings: Settings) -> FrontServer:
    app = FrontApp(fleet)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=REQUESTS_SECS,
        # The workers do these, once; the addresses that the front tells them are those of the connection.
        lifespan="off",
        ws="none",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        **entrance.options,
    )
    return FrontServer(config, settings.server.max_sessions, app)


async def _ready(fleet: Fleet, loading: "asyncio.Task[None] | None", stopping: Stopping) -> bool:
    """Wait until engines and all workers are; False if a signal came before.

    Raises:
        EngineUnavailableError: A stage has no usable engine.
        FailedWorkerError: A worker cannot begin.
    """
    if loading:
        loading.add_done_callback(lambda ended: fleet.engines_ended(ended))
    ready = asyncio.create_task(fleet.all_ready())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait([ready, stopped, fleet.failure], return_when=asyncio.FIRST_COMPLETED)
    for task in (ready, stopped):
        task.cancel()
    if not fleet.failure.done() and not stopping.is_set():
        return True
    fleet.signal(signal.SIGINT)
    await fleet.ended(ORDER_SECS)
    if fleet.failure.done():
        raise FailedWorkerError(*fleet.failure.result())
    return False


async def _until_stopped(stopping: Stopping, serving: "asyncio.Task[None]") -> None:
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait([stopped, serving], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()


async def _drain(fleet: Fleet, stopping: Stopping, settings: Settings) -> None:
    """End the workers, in order; the front still answers those that their calls belong to."""
    drain_secs = settings.server.drain_secs if stopping.may_drain else 0.0
    fleet.signal(signal.SIGTERM if stopping.may_drain else signal.SIGINT)
    ended = asyncio.create_task(fleet.ended(drain_secs + ORDER_SECS + ENDING_SECS))
    at_once = asyncio.create_task(stopping.at_once.wait())
    await asyncio.wait([ended, at_once], return_when=asyncio.FIRST_COMPLETED)
    at_once.cancel()
    if not ended.done():
        ended.cancel()
        fleet.signal(signal.SIGTERM)
        await fleet.ended(ORDER_SECS + ENDING_SECS)
