"""The web application: the page, its WebRTC offers and /health, on a FastAPI app of our own.

In:  HTTP requests.   Out: see the routes. Until the models are loaded it answers that it is starting.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from agent import __version__
from agent.model_host import ModelHost
from agent.settings import Settings
from agent.web_sessions import BusyError, UnknownPeerError, WebSessions
from transports.errors import OfferError

MAX_BODY_BYTES = 256 * 1024
BODY_TIMEOUT_SECS = 10.0
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def web_directory() -> Path:
    """Where the page lies: inside the installed package, or beside it in a checkout."""
    packaged = Path(__file__).parent / "web"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "web"


@dataclass
class Loaded:
    """What the application can offer once the models are loaded."""

    host: ModelHost
    sessions: WebSessions


class ServerState:
    """What the routes look at; `loaded` is set when the models are ready."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.loaded: Loaded | None = None

    def sessions(self) -> WebSessions:
        """The conversations.

        Raises:
            BusyError: The models are still being loaded.
        """
        if self.loaded is None:
            raise BusyError("the agent is still loading its models; try again in a moment")
        return self.loaded.sessions


def build_app(state: ServerState) -> FastAPI:
    """The web application.

    Args:
        state: Settings, and what is loaded so far.
    """
    app = FastAPI(title="sotto", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(_guard(state.settings))

    @app.get("/health")
    async def health() -> Response:
        loaded = state.loaded
        report = {
            "status": "ready" if loaded else "starting",
            "version": __version__,
            "engines": loaded.host.engines() if loaded else {},
            "sessions": {
                "active": loaded.sessions.n_active if loaded else 0,
                "max": state.settings.server.max_sessions,
            },
        }
        return JSONResponse(report, status_code=200 if loaded else 503)

    @app.post("/api/offer")
    async def offer(request: Request) -> Response:
        body = await _json_object(request)
        return JSONResponse(await state.sessions().join(body.get("sdp"), body.get("type")))

    @app.patch("/api/offer")
    async def candidates(request: Request) -> Response:
        body = await _json_object(request)
        found = body.get("candidates")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise OfferError("candidates must be a list of objects")
        await state.sessions().add_candidates(str(body.get("pc_id")), found)
        return JSONResponse({"status": "success"})

    for kind, status in ((OfferError, 400), (BusyError, 503), (UnknownPeerError, 404)):
        app.add_exception_handler(kind, _error_answer(status))
    app.mount("/", StaticFiles(directory=web_directory(), html=True), name="page")
    return app


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
