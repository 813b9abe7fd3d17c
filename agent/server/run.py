"""`sotto serve`: listens at once, loads the models, and ends everything within three seconds of a signal."""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Mapping

import uvicorn
from loguru import logger

from agent.conversation.tracing import Tracing
from agent.engines.host import start_mindless_host, start_model_host
from agent.errors import InputError
from agent.server.app import build_app
from agent.server.calls.garbage import set_aside_what_stays
from agent.server.calls.ice_servers import own_ice_servers
from agent.server.calls.sessions import LiveSessions
from agent.server.calls.webrtc import WebSessions
from agent.server.calls.websocket import UVICORN_OPTIONS
from agent.server.draining import drain
from agent.server.guard.addresses import is_https, page_urls, unprotected_warning
from agent.server.guard.binding import bind
from agent.server.guard.certificates import CertificateFiles, certificate_files
from agent.server.http_server import HttpServer
from agent.server.metering import Metering
from agent.server.speech.jobs import TranscriptionJobs
from agent.server.state import Loaded, ServerState
from agent.server.telephony.audio_socket import AudioSockets
from agent.server.telephony.lines import telephone_lines
from agent.server.wire.upload_budget import MEGABYTE
from agent.server.wyoming.server import WyomingServer, bind_wyoming
from agent.settings.load import Settings, data_folder
from agent.settings.serving import ServerSettings
from agent.stopping import Stopping, load_unless_stopped, stop_on_signals
from processors.child_process import kill_children
from transports.ice_addresses import Reach, open_only, reach_of

# Of the three seconds in which a signal ends everything, for requests under way.
REQUESTS_SECS = 1
# And for engines that are at work on a recording.
RECORDINGS_SECS = 0.5
RENEWAL_SECS = 24 * 3600


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
    stopping = stop_on_signals()
    tracing = Tracing(settings)
    state = ServerState(settings, api_only=api_only)
    https = _https(state.settings.server)
    bound = bind(settings.server.host, settings.server.port)
    bound_wyoming = bind_wyoming(settings.server)
    reach = reach_of(bound.getsockname()[0])
    open_only(reach)
    config = uvicorn.Config(
        build_app(state),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=REQUESTS_SECS,
        ssl_context_factory=(lambda *_: https) if https else None,
        **UVICORN_OPTIONS,
    )
    server = HttpServer(config, state.settings.server.max_sessions)
    serving = asyncio.create_task(server.serve([bound]))
    wyoming = WyomingServer(state, server.places, bound_wyoming) if bound_wyoming else None
    renewing = asyncio.create_task(_renew(https, state.settings.server)) if https else None
    audio_sockets = AudioSockets(state.settings, state.sessions, server.places)
    metering = Metering(state)
    try:
        if wyoming:
            wyoming.open()
        state.loaded = await _load(state, stopping, reach)
        if stopping.is_set():
            return stopping.exit_status
        metering.start()
        set_aside_what_stays()
        audio_ports = {} if state.api_only else await audio_sockets.open()
        _tell_where(state, bound, wyoming, audio_ports)
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait([stopped, serving], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if stopping.may_drain and (drain_secs := settings.server.drain_secs):
            await drain(state, stopping.at_once, drain_secs)
        return 0
    finally:
        if renewing:
            renewing.cancel()
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
        bound.close()
        if state.loaded:
            await _close(state.loaded)


def _https(server: ServerSettings) -> ssl.SSLContext | None:
    """What connections are encrypted with; None for plain http.

    Raises:
        InputError: The certificate cannot be used.
    """
    if not is_https(server):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_certificate(context, server)
    return context


def _load_certificate(context: ssl.SSLContext, server: ServerSettings) -> CertificateFiles:
    """Take the certificate of today; connections from now on are shown it."""
    files = certificate_files(server, data_folder() / "https")
    try:
        context.load_cert_chain(files.certificate, files.private_key)
    except ssl.SSLError as error:
        raise InputError(f"server.certificate = {files.certificate} cannot be used ({error.reason})") from error
    if files.own:
        logger.info(f"https with a certificate of our own, which browsers ask about: SHA-256 {files.fingerprint}")
    return files


async def _renew(context: ssl.SSLContext, server: ServerSettings) -> None:
    """Certificates run out, and addresses change, while a server runs."""
    while True:
        await asyncio.sleep(RENEWAL_SECS)
        try:
            await asyncio.to_thread(_load_certificate, context, server)
        except InputError as error:
            logger.error(f"https goes on with the certificate that it has: {error}")


def _tell_where(
    state: ServerState, bound: socket.socket, wyoming: WyomingServer | None, audio_ports: Mapping[str, int]
) -> None:
    server = state.settings.server
    address, port = bound.getsockname()[:2]
    here, *elsewhere = page_urls(server, address, port)
    if warning := unprotected_warning(server, address, api_only=state.api_only):
        logger.warning(warning)
    hint = "" if is_https(server) else " (their browsers give the microphone to https alone: sotto serve --https)"
    for url in elsewhere:
        logger.info(f"for other devices: {url}{hint}")
    if wyoming:
        logger.info(f"wyoming: {wyoming.url} (Home Assistant: Settings, Devices & services, add Wyoming Protocol)")
    for line in telephone_lines(state.settings.telephony, audio_ports) if not state.api_only else ():
        logger.info(line)
    logger.info(f"ready: {here}")


async def _load(state: ServerState, stopping: Stopping, reach: Reach) -> Loaded:
    settings = state.settings
    sessions = peers = None
    if state.api_only:
        host = await load_unless_stopped(lambda: start_mindless_host(settings), stopping)
    else:
        host = await load_unless_stopped(lambda: start_model_host(settings), stopping)
        sessions = LiveSessions(host, settings, state.histories, state.metered())
        peers = WebSessions(sessions, own_ice_servers(settings), reach)
    server = settings.server
    jobs = TranscriptionJobs(
        host,
        max_jobs=server.max_transcriptions,
        max_audio_secs=server.max_audio_secs,
        upload_memory_bytes=int(max(server.upload_memory_mb, server.max_upload_mb) * MEGABYTE),
    )
    return Loaded(host, jobs, sessions, peers)


async def _close(loaded: Loaded) -> None:
    if not await loaded.jobs.close(RECORDINGS_SECS):
        # A thread within an engine cannot be interrupted.
        logger.info("stopped while a recording was being transcribed")
        kill_children()
        os._exit(0)
    await loaded.host.close()
