"""`sotto serve`: listens at once, loads the models, and ends everything within three seconds of a signal."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import socket as Socket

import uvicorn
from loguru import logger

from agent.errors import InputError
from agent.model_host import start_model_host
from agent.settings import Settings
from agent.web_app import Loaded, ServerState, build_app
from agent.web_sessions import WebSessions
from transports.webrtc import allow_loopback_only_machines

# Of the three seconds in which a signal ends everything: for requests, and for models that are being loaded.
REQUESTS_SECS = 1
LOADING_SECS = 2.0


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: a signal also ends models and conversations."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run_server(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        EngineUnavailableError: A stage has no usable engine.
        InputError: The port cannot be had.
    """
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows has no such handlers; Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(number, stopping.set)
    socket = _bind(settings)
    allow_loopback_only_machines()
    state = ServerState(settings)
    config = uvicorn.Config(
        build_app(state), log_level="warning", access_log=False, timeout_graceful_shutdown=REQUESTS_SECS, ws="none"
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve([socket]))
    try:
        await _load_and_wait(state, stopping, serving, socket)
    finally:
        if state.loaded:
            await state.loaded.sessions.close()
        server.should_exit = True
        await serving
        socket.close()
        if state.loaded:
            await state.loaded.host.close()


async def _load_and_wait(
    state: ServerState, stopping: asyncio.Event, serving: "asyncio.Task[None]", socket: Socket
) -> None:
    stopped = asyncio.create_task(stopping.wait())
    loading = asyncio.create_task(start_model_host(state.settings))
    await asyncio.wait([loading, stopped, serving], return_when=asyncio.FIRST_COMPLETED)
    if not loading.done():
        await asyncio.wait([loading], timeout=LOADING_SECS)
    if not loading.done():
        # Threads that load a model cannot be interrupted; what they started ends with this process.
        logger.info("stopped while the models were being loaded")
        os._exit(0)
    host = loading.result()
    state.loaded = Loaded(host, WebSessions(host, state.settings))
    if not stopped.done():
        address, port = socket.getsockname()[:2]
        logger.info(f"ready: http://{f'[{address}]' if ':' in address else address}:{port}")
        await asyncio.wait([stopped, serving], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()


def _bind(settings: Settings) -> Socket:
    host, port = settings.server.host, settings.server.port
    try:
        return uvicorn.Config(lambda: None, host=host, port=port, log_level="critical").bind_socket()
    except SystemExit:
        raise InputError(f"port {port} on {host} cannot be had: sotto serve --port 0 takes a free one") from None
