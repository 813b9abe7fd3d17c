"""The web application: the page, its WebRTC offers, the speech API and /health, on a FastAPI app of our own.

In:  HTTP requests.   Out: see the routes. Until the models are loaded it answers that it is starting.
With `--api-only` there is neither page nor offer.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent import __version__
from agent.api_errors import ApiError
from agent.histories import HistoryInUseError
from agent.live_sessions import BusyError, LiveSessions, SessionRequest
from agent.model_host import EarsHost, ModelHost
from agent.session_options import OptionError, describe_options
from agent.settings import Settings
from agent.speech_api import PREFIX, build_speech_api, http_error_answer, is_api_path
from agent.transcription_jobs import TranscriptionJobs
from agent.web_sessions import UnknownPeerError, WebSessions
from processors.errors import EngineUnavailableError
from transports.errors import OfferError

MAX_BODY_BYTES = 256 * 1024
BODY_TIMEOUT_SECS = 10.0
LOADING = "the agent is still loading its models; try again in a moment"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
STATUSES: dict[type[Exception], int] = {
    OfferError: 400,
    OptionError: 400,
    EngineUnavailableError: 400,
    UnknownPeerError: 404,
    HistoryInUseError: 409,
    BusyError: 503,
}
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def web_directory() -> Path:
    """Where the page lies: inside the installed package, or beside it in a checkout."""
    packaged = Path(__file__).parent / "web"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "web"


@dataclass
class Loaded:
    """What the application can offer once the models are loaded.

    Attributes:
        sessions: The conversations; None with `--api-only`.
        peers: Those of them that come by WebRTC; None with `--api-only`.
    """

    host: ModelHost | EarsHost
    jobs: TranscriptionJobs
    sessions: LiveSessions | None
    peers: WebSessions | None = None


class ServerState:
    """What the routes look at; `loaded` is set when the models are ready.

    Args:
        settings: Limits and thresholds.
        api_only: Whether there is nothing but the speech API and /health.
    """

    def __init__(self, settings: Settings, *, api_only: bool = False) -> None:
        self.settings = settings
        self.api_only = api_only
        self.loaded: Loaded | None = None

    def jobs(self) -> TranscriptionJobs | None:
        """What transcribes recordings; None while the models are being loaded."""
        return self.loaded.jobs if self.loaded else None

    def sessions(self) -> LiveSessions:
        """The conversations.

        Raises:
            BusyError: The models are still being loaded.
        """
        if self.loaded is None or self.loaded.sessions is None:
            raise BusyError(LOADING)
        return self.loaded.sessions

    def peers(self) -> WebSessions:
        """Those of them that come by WebRTC.

        Raises:
            BusyError: The models are still being loaded.
        """
        if self.loaded is None or self.loaded.peers is None:
            raise BusyError(LOADING)
        return self.loaded.peers


def build_app(state: ServerState) -> FastAPI:
    """The web application.

    Args:
        state: Settings, and what is loaded so far.
    """
    app = FastAPI(title="sotto", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_Guard, settings=state.settings)

    @app.get("/health")
    async def health() -> Response:
        return JSONResponse(_health(state), status_code=200 if state.loaded else 503)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        if state.api_only or is_api_path(request.url.path):
            return http_error_answer(request, error)
        return await http_exception_handler(request, error)

    app.mount(PREFIX, build_speech_api(state.settings, state.jobs), name="speech")
    if not state.api_only:
        _add_conversations(app, state)
    return app


def _health(state: ServerState) -> dict[str, Any]:
    loaded, server = state.loaded, state.settings.server
    report: dict[str, Any] = {
        "status": "ready" if loaded else "starting",
        "version": __version__,
        "engines": loaded.host.engines() if loaded else {},
        "transcriptions": {"active": loaded.jobs.n_active if loaded else 0, "max": server.max_transcriptions},
    }
    if not state.api_only:
        n_active = loaded.sessions.n_active if loaded and loaded.sessions else 0
        report["sessions"] = {"active": n_active, "max": server.max_sessions}
    return report


def _add_conversations(app: FastAPI, state: ServerState) -> None:
    """The page and its offers."""

    @app.post("/api/offer")
    async def offer(request: Request) -> Response:
        body = await _json_object(request)
        wish = SessionRequest(body.get("conversation"), body.get("options"), body.get("record"))
        return JSONResponse(await state.peers().join(body.get("sdp"), body.get("type"), wish))

    @app.patch("/api/offer")
    async def candidates(request: Request) -> Response:
        body = await _json_object(request)
        found = body.get("candidates")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise OfferError("candidates must be a list of objects")
        await state.peers().add_candidates(str(body.get("pc_id")), found)
        return JSONResponse({"status": "success"})

    @app.get("/api/options")
    async def options() -> Response:
        return JSONResponse(await _options(state))

    for kind, status in STATUSES.items():
        app.add_exception_handler(kind, _error_answer(status))
    app.mount("/", StaticFiles(directory=web_directory(), html=True), name="page")


async def _options(state: ServerState) -> dict[str, Any]:
    engines = state.sessions().engines
    return {
        "settings": describe_options(state.settings),
        "engines": await engines.offers(),
        "voices": await asyncio.to_thread(engines.voices),
    }


async def _json_object(request: Request) -> dict[str, Any]:
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_BODY_BYTES:
                    raise OfferError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise OfferError(f"the body did not arrive within {BODY_TIMEOUT_SECS:.0f} s") from None
    try:
        body = json.loads(bytes(data))
    except (ValueError, RecursionError):
        raise OfferError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise OfferError("the body is not a JSON object")
    return body


def _error_answer(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_: Request, error: Exception) -> Response:
        # What a caller sent may hold characters that no encoding can carry.
        message = str(error).encode("utf-8", "backslashreplace").decode()
        return JSONResponse({"error": message}, status_code=status)

    return answer


class _Guard:
    """Refuses what other sites make a browser send here, and sets the page's security headers."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = _foreign(Request(scope), self._settings)
        if problem:
            await _refusal(scope["path"], problem)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _refusal(path: str, problem: str) -> Response:
    if is_api_path(path):
        return ApiError(403, problem, code="forbidden").response()
    return JSONResponse({"error": problem}, status_code=403)


def _foreign(request: Request, settings: Settings) -> str | None:
    """Why a request is refused: its Host is not ours (DNS rebinding), or its Origin is another site."""
    host = request.headers.get("host", "").lower()
    name = host.rsplit(":", 1)[0] if ":" in host and not host.endswith("]") else host
    allowed = {*LOCAL_HOSTS, *settings.server.allowed_hosts}
    if settings.server.host not in ANY_ADDRESS:
        allowed.add(settings.server.host)
    if name not in allowed:
        return f"this host name is not allowed: {name[:80]} (see the setting server.allowed_hosts)"
    origin = request.headers.get("origin")
    if origin and _site_of(origin) != host:
        return f"this origin is not allowed: {origin[:80]}"
    return None


def _site_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
