"""`sotto serve`: listens at once, loads the models, and ends everything within three seconds of a signal."""

import asyncio
import logging
import os

import uvicorn
from loguru import logger

from agent.conversation.tracing import Tracing
from agent.engines.host import start_mindless_host, start_model_host
from agent.engines.process.host import connect_model_host
from agent.server.app import build_app
from agent.server.calls.garbage import set_aside_what_stays
from agent.server.calls.ice_servers import own_ice_servers
from agent.server.calls.sessions import LiveSessions
from agent.server.calls.webrtc import WebSessions
from agent.server.calls.websocket import UVICORN_OPTIONS
from agent.server.draining import drain
from agent.server.entry import Entry, OwnEntry
from agent.server.guard.token import with_token
from agent.server.metering import Metering
from agent.server.speech.jobs import TranscriptionJobs
from agent.server.state import Loaded, ServerState
from agent.server.telephony.audio_socket import AudioSockets
from agent.server.telephony.lines import telephone_lines
from agent.server.wire.upload_budget import MEGABYTE
from agent.server.wyoming.server import WyomingServer, bind_wyoming
from agent.settings.load import Settings
from agent.stopping import load_unless_stopped
from processors.child_process import kill_children
from transports.ice_addresses import Reach, open_only, reach_of

# Of the three seconds in which a signal ends everything, for requests under way.
REQUESTS_SECS = 1
# And for engines that are at work on a recording.
RECORDINGS_SECS = 0.5


def run_server(settings: Settings, *, api_only: bool = False) -> int:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: What to serve, and where.
        api_only: Load the speech-to-text engine alone and serve nothing but the speech API and /health.

    Returns:
        The exit status: 0, or that of the signal which came before the models were loaded.

    Raises:
        EngineUnavailableError: A stage has no usable engine.
        InputError: A port cannot be had, or the certificate cannot be used.
    """
    return asyncio.run(_serve(settings, api_only))


async def _serve(settings: Settings, api_only: bool) -> int:
    settings = with_token(settings)
    return await serve_by(OwnEntry(settings.server, api_only=api_only), settings, api_only=api_only)


async def serve_by(entry: Entry, settings: Settings, *, api_only: bool) -> int:
    """Serve until the entry says that it is over.

    Args:
        entry: How callers come in.
        settings: What to serve.
        api_only: As for `run_server`.

    Returns:
        The exit status.

    Raises:
        EngineUnavailableError: A stage has no usable engine.
        InputError: A port cannot be had.
    """
    stopping = entry.stopping
    tracing = Tracing(settings)
    state = ServerState(settings, api_only=api_only)
    bound_wyoming = bind_wyoming(settings.server) if entry.is_first else None
    reach = reach_of(entry.address)
    open_only(reach)
    config = uvicorn.Config(
        build_app(state),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=REQUESTS_SECS,
        **entry.options,
        **UVICORN_OPTIONS,
    )
    server, sockets = entry.server(config, state.settings.server.max_sessions)
    serving = asyncio.create_task(server.serve(sockets))
    wyoming = WyomingServer(state, server.places, bound_wyoming) if bound_wyoming else None
    audio_sockets = AudioSockets(state.settings, state.sessions, server.places)
    metering = Metering(state)
    try:
        entry.open()
        if wyoming:
            wyoming.open()
        state.loaded = await _load(state, entry, reach)
        if stopping.is_set():
            return stopping.exit_status
        metering.start()
        set_aside_what_stays()
        has_lines = entry.is_first and not state.api_only
        audio_ports = await audio_sockets.open() if has_lines else {}
        entry.tell()
        if wyoming:
            logger.info(f"wyoming: {wyoming.url} (Home Assistant: Settings, Devices & services, add Wyoming Protocol)")
        for line in telephone_lines(settings.telephony, audio_ports) if has_lines else ():
            logger.info(line)
        entry.tell_ready()
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait([stopped, serving], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if stopping.may_drain and (drain_secs := settings.server.drain_secs):
            await drain(state, stopping.at_once, drain_secs)
        return 0
    finally:
        metering.close()
        # Requests that do not end in time are cut; uvicorn would log each of them as an error.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        if wyoming:
            await wyoming.close()
        await state.pulls.close()
        await state.calls.close()
        if state.loaded and state.loaded.sessions:
            await state.loaded.sessions.close()
        await audio_sockets.close()
        await tracing.close()
        if state.loaded and state.loaded.peers:
            await state.loaded.peers.close()
        server.should_exit = True
        await serving
        entry.close()
        if state.loaded:
            await _close(state.loaded)


async def _load(state: ServerState, entry: Entry, reach: Reach) -> Loaded:
    settings, stopping = state.settings, entry.stopping
    sessions = peers = None
    if state.api_only:
        host = await load_unless_stopped(lambda: start_mindless_host(settings), stopping)
    else:
        engines_at = entry.engines_at
        host = await load_unless_stopped(
            lambda: connect_model_host(settings, engines_at) if engines_at else start_model_host(settings), stopping
        )
        sessions = LiveSessions(host, settings, state.histories, state.metered(), entry.places)
        peers = WebSessions(sessions, own_ice_servers(settings), reach)
    server = settings.server
    jobs = TranscriptionJobs(
        host,
        max_jobs=server.max_transcriptions,
        max_audio_secs=server.max_audio_secs,
        upload_memory_bytes=int(max(server.upload_memory_mb, server.max_upload_mb) * MEGABYTE),
    )
    if entry.places:
        for kind, slots in (("chat", state.questions), ("speech", state.speeches), ("transcription", jobs.slots)):
            entry.places.share(kind, slots)
    return Loaded(host, jobs, sessions, peers)


async def _close(loaded: Loaded) -> None:
    if not await loaded.jobs.close(RECORDINGS_SECS):
        # A thread within an engine cannot be interrupted.
        logger.info("stopped while a recording was being transcribed")
        kill_children()
        os._exit(0)
    await loaded.host.close()
