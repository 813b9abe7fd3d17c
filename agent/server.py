"""`sotto serve`: the page, its WebRTC offers and /health, on a FastAPI app of our own.

In:  HTTP on a loopback address by default.   Out: see the routes.
"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from loguru import logger

from agent import __version__
from agent.errors import InputError
from agent.model_host import ModelHost, start_model_host
from agent.settings import Settings
from agent.web_sessions import BusyError, UnknownPeerError, WebSessions
from transports.errors import OfferError
from transports.webrtc import allow_loopback_only_machines

MAX_BODY_BYTES = 256 * 1024
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104
# SIGINT and SIGTERM end everything within 3 seconds; this is what uvicorn's part of it may take.
SHUTDOWN_SECS = 1
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def web_directory() -> Path:
    """Where the page lies: inside the installed package, or beside it in a checkout."""
    packaged = Path(__file__).parent / "web"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "web"


def build_app(host: ModelHost, settings: Settings) -> FastAPI:
    """The web application on loaded engines.

    Args:
        host: The loaded engines; closed by the caller.
        settings: Caps, allowed hosts.
    """
    state: dict[str, WebSessions] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        allow_loopback_only_machines()
        state["sessions"] = WebSessions(host, settings)
        yield
        await state["sessions"].close()

    app = FastAPI(title="sotto", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.middleware("http")(_guard(settings))

    @app.get("/health")
    async def health() -> dict[str, Any]:
        sessions = {"active": state["sessions"].n_active, "max": settings.server.max_sessions}
        return {"status": "ready", "version": __version__, "engines": host.engines(), "sessions": sessions}

    @app.post("/api/offer")
    async def offer(request: Request) -> Response:
        body = await _json_object(request)
        return JSONResponse(await state["sessions"].join(body.get("sdp"), body.get("type")))

    @app.patch("/api/offer")
    async def candidates(request: Request) -> Response:
        body = await _json_object(request)
        found = body.get("candidates")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise OfferError("candidates must be a list of objects")
        await state["sessions"].add_candidates(str(body.get("pc_id")), found)
        return JSONResponse({"status": "success"})

    for kind, status in ((OfferError, 400), (BusyError, 503), (UnknownPeerError, 404)):
        app.add_exception_handler(kind, _error_answer(status))
    app.mount("/", StaticFiles(directory=web_directory(), html=True), name="page")
    return app


async def _json_object(request: Request) -> dict[str, Any]:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY_BYTES:
            raise OfferError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        body = json.loads(bytes(data))
    except (ValueError, RecursionError):
        raise OfferError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise OfferError("the body is not a JSON object")
    return body


def _error_answer(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status_code=status)

    return answer


def _guard(settings: Settings) -> Callable[[Request, Any], Awaitable[Response]]:
    """Refuse what other sites make a browser send here, and set the page's security headers."""

    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        problem = _foreign(request, settings)
        if problem:
            return JSONResponse({"error": problem}, status_code=403)
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-cache"
        return response

    return guard


def _foreign(request: Request, settings: Settings) -> str | None:
    """Why a request is refused: its Host is not ours (DNS rebinding), or its Origin is another site."""
    host = request.headers.get("host", "")
    name = host.rsplit(":", 1)[0] if ":" in host and not host.endswith("]") else host
    allowed = {*LOCAL_HOSTS, *settings.server.allowed_hosts}
    if settings.server.host not in ANY_ADDRESS:
        allowed.add(settings.server.host)
    if name not in allowed:
        return f"this host name is not allowed: {name[:80]} (see the setting server.allowed_hosts)"
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != host:
        return f"this origin is not allowed: {origin[:80]}"
    return None


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
    socket_config = uvicorn.Config(lambda: None, host=settings.server.host, port=settings.server.port)
    try:
        socket = socket_config.bind_socket()
    except SystemExit:
        raise InputError(
            f"port {settings.server.port} on {settings.server.host} cannot be had: "
            "sotto serve --port 0 takes a free one"
        ) from None
    starting = asyncio.create_task(start_model_host(settings))
    interrupted = asyncio.create_task(stopping.wait())
    await asyncio.wait([starting, interrupted], return_when=asyncio.FIRST_COMPLETED)
    host = await starting
    try:
        if not stopping.is_set():
            await _run_uvicorn(build_app(host, settings), socket, stopping)
    finally:
        interrupted.cancel()
        socket.close()
        await host.close()


async def _run_uvicorn(app: FastAPI, socket: Any, stopping: asyncio.Event) -> None:
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECS, lifespan="on", ws="none"
    )
    server = uvicorn.Server(config)
    address, port = socket.getsockname()[:2]
    serving = asyncio.create_task(server._serve([socket]))
    logger.info(f"ready: http://{address}:{port}")
    await asyncio.wait([serving, asyncio.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
