"""`sotto serve`: listens at once, loads the models, and ends everything within three seconds of a signal."""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from loguru import logger

from agent.errors import InputError
from agent.live_sessions import LiveSessions
from agent.model_host import start_ears_host, start_model_host
from agent.server_state import Loaded, ServerState
from agent.settings import Settings
from agent.stopping import load_unless_stopped, stop_on_signals
from agent.transcription_jobs import TranscriptionJobs
from agent.web_app import build_app
from agent.web_sessions import WebSessions
from transports.webrtc import allow_loopback_only_machines

# Of the three seconds in which a signal ends everything, for requests under way.
REQUESTS_SECS = 1
# And for engines that are at work on a recording.
RECORDINGS_SECS = 0.5
# A WebSocket carries 20 ms of sound or a line of text a message.
WEB_SOCKETS: dict[str, Any] = {"ws": "websockets-sansio", "ws_max_size": 256 * 1024}


class SignallessServer(uvicorn.Server):
    """uvicorn without signal handlers of its own: a signal also ends models and conversations."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run_server(settings: Settings, *, api_only: bool = False) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: What to serve, and where.
        api_only: Load the speech-to-text engine alone and serve nothing but the speech API and /health.

    Raises:
        EngineUnavailableError: A stage has no usable engine.
        InputError: The port cannot be had.
    """
    asyncio.run(_serve(settings, api_only))


async def _serve(settings: Settings, api_only: bool) -> None:
    stopping = stop_on_signals()
    bound = _bind(settings)
    allow_loopback_only_machines()
    state = ServerState(settings, api_only=api_only)
    config = uvicorn.Config(
        build_app(state), log_level="warning", access_log=False, timeout_graceful_shutdown=REQUESTS_SECS, **WEB_SOCKETS
    )
    server = SignallessServer(config)
    serving = asyncio.create_task(server.serve([bound]))
    try:
        state.loaded = await _load(state, stopping)
        stopped = asyncio.create_task(stopping.wait())
        if not stopping.is_set():
            address, port = bound.getsockname()[:2]
            logger.info(f"ready: http://{f'[{address}]' if ':' in address else address}:{port}")
        await asyncio.wait([stopped, serving], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
    finally:
        # Requests that do not end in time are cut; uvicorn would log each of them as an error.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        if state.loaded and state.loaded.sessions:
            await state.loaded.sessions.close()
        if state.loaded and state.loaded.peers:
            await state.loaded.peers.close()
        server.should_exit = True
        await serving
        bound.close()
        if state.loaded:
            await _close(state.loaded)


async def _load(state: ServerState, stopping: asyncio.Event) -> Loaded:
    settings = state.settings
    sessions = peers = None
    if state.api_only:
        host = await load_unless_stopped(lambda: start_ears_host(settings), stopping, exit_status=0)
    else:
        host = await load_unless_stopped(lambda: start_model_host(settings), stopping, exit_status=0)
        sessions = LiveSessions(host, settings, state.histories)
        peers = WebSessions(sessions)
    server = settings.server
    jobs = TranscriptionJobs(host, max_jobs=server.max_transcriptions, max_audio_secs=server.max_audio_secs)
    return Loaded(host, jobs, sessions, peers)


async def _close(loaded: Loaded) -> None:
    if not await loaded.jobs.close(RECORDINGS_SECS):
        # A thread within an engine cannot be interrupted; the processes that engines started end with this one.
        logger.info("stopped while a recording was being transcribed")
        os._exit(0)
    await loaded.host.close()


def _bind(settings: Settings) -> socket.socket:
    """A listening socket of the wanted address.

    Raises:
        InputError: The address is not this machine's, or the port is taken or forbidden.
    """
    host, port = settings.server.host, settings.server.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise InputError(f"server.host = {host!r} is no address: --host 127.0.0.1 is this machine's own") from error
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Answers are small: waiting to fill a packet would cost each of them 40 ms.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise InputError(f"server.host = {host} is not an address of this machine: --host 127.0.0.1 is") from error
        raise InputError(
            f"port {port} on {host} cannot be had ({error.strerror}): sotto serve --port 0 takes a free one"
        ) from error
    return bound
