"""The web application: a guard, and behind it the page, its routes, the speech API and /health; a FastAPI app of ours.

In:  HTTP requests and WebSockets.   Out: see the routes. Until the models are loaded it answers that it is starting.
With `--api-only` there is nothing but the speech API and /health.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response, WebSocket
from fastapi.exception_handlers import http_exception_handler
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route, WebSocketRoute

from agent import __version__
from agent.conversation.histories import HistoryInUseError
from agent.conversation.recordings import RecordingBusyError
from agent.memory.database import MemoryFailure
from agent.server.calls.peers import UnknownPeerError
from agent.server.calls.sessions import BusyError
from agent.server.calls.websocket import websocket_router
from agent.server.guard.access import Guard
from agent.server.health import health_routes
from agent.server.metering import METRICS, metrics_route
from agent.server.page_files import page_files
from agent.server.realtime.call_routes import call_routes
from agent.server.realtime.route import realtime_routes
from agent.server.routes.camera import camera_routes
from agent.server.routes.chat import chat_routes
from agent.server.routes.completions import AGENT_MODEL, CompletionsRoute
from agent.server.routes.conversations import conversation_routes
from agent.server.routes.memory import forget_turns, memory_routes
from agent.server.routes.models import model_routes
from agent.server.routes.offers import offer_routes
from agent.server.routes.options import option_routes
from agent.server.routes.pictures import picture_routes
from agent.server.routes.recordings import recordings_router
from agent.server.routes.samples import sample_routes
from agent.server.routes.transcribe import transcription_routes
from agent.server.speech.api import build_speech_api, http_error_answer
from agent.server.state import Loaded, ServerState
from agent.server.telephony.routes import telephone_routes
from agent.server.wire.errors import ApiError
from agent.server.wire.json_body import RequestError, error_response
from agent.server.wire.paths import PREFIX, is_api_path
from agent.server.wire.slots import Places
from agent.server.wire.sockets import deny
from agent.settings.session import OptionError
from processors.errors import EngineUnavailableError
from transports.errors import OfferError

__all__ = ["Loaded", "ServerState", "build_app", "web_directory"]

# Everything that the page talks to; further routes, WebSockets among them, go here.
PAGE_ROUTES: tuple[Callable[[ServerState], APIRouter], ...] = (
    offer_routes,
    camera_routes,
    picture_routes,
    option_routes,
    sample_routes,
    chat_routes,
    transcription_routes,
    lambda state: websocket_router(state.sessions),
    lambda state: telephone_routes(state.settings, state.sessions),
    memory_routes,
    model_routes,
    conversation_routes,
    lambda state: recordings_router(
        lambda: state.sessions().recordings, state.histories.forget, lambda one: forget_turns(state, one)
    ),
)

# How the page is told of errors, as `{"error": one line}`; a RequestError says its status itself.
STATUS_OF_ERRORS: dict[type[Exception], int] = {
    OfferError: 400,
    OptionError: 400,
    EngineUnavailableError: 400,
    UnknownPeerError: 404,
    HistoryInUseError: 409,
    RecordingBusyError: 409,
    BusyError: 503,
    MemoryFailure: 503,
}


def web_directory() -> Path:
    """Where the page lies: inside the installed package, or beside it in a checkout."""
    agent = Path(__file__).parents[1]
    packaged = agent / "web"
    return packaged if packaged.is_dir() else agent.parent / "web"


def build_app(state: ServerState) -> FastAPI:
    """The web application.

    Args:
        state: Settings, and what is loaded so far.
    """
    app = FastAPI(title="sotto", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    # With `--api-only` no line is there, and nothing is to be left to its signature.
    lines = {} if state.api_only else {"telephony": state.settings.telephony}
    app.add_middleware(Guard, server=state.settings.server, secrets=state.secrets, **lines)

    app.include_router(health_routes(state))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        if state.api_only or is_api_path(request.url.path):
            return http_error_answer(request, error)
        return await http_exception_handler(request, error)

    if state.meters:
        app.add_api_route(METRICS, metrics_route(state.meters, has_token=bool(state.settings.server.token)))

    brain = Route("/chat/completions", CompletionsRoute(state), methods=["POST"])
    named = [] if state.api_only else [AGENT_MODEL]
    realtime = [] if state.api_only else _realtime(state)
    api = build_speech_api(state.settings, state.jobs, state.speaking, state.speeches, [brain, *realtime], named)
    app.mount(PREFIX, api, name="api")
    if not state.api_only:
        _add_page_routes(app, state)

    @app.websocket("/{path:path}")
    async def no_such_socket(socket: WebSocket, path: str) -> None:
        await deny(socket, error_response(404, f"there is no WebSocket at /{path[:80]}"))

    if not state.api_only:
        app.mount("/", page_files(web_directory()), name="page")
    return app


def _realtime(state: ServerState) -> list[Route | WebSocketRoute]:
    places = Places(state.questions, state.speeches)
    calls = call_routes(state.sessions, lambda: state.peers().peers, state.calls, state.secrets, places)
    return [*realtime_routes(state.sessions, state.secrets, places), *calls]


def _add_page_routes(app: FastAPI, state: ServerState) -> None:
    for routes in PAGE_ROUTES:
        app.include_router(routes(state))

    @app.exception_handler(RequestError)
    async def request_error(_: Request, error: RequestError) -> Response:
        return error_response(error.status, str(error), error.headers)

    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> Response:
        return error_response(error.status, str(error), error.headers)

    @app.exception_handler(ClientDisconnect)
    async def hung_up(_: Request, __: ClientDisconnect) -> Response:
        # Nobody is left to read it.
        return Response(status_code=400)

    for kind, status in STATUS_OF_ERRORS.items():
        app.add_exception_handler(kind, _error_answer(status))


def _error_answer(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_: Request, error: Exception) -> Response:
        return error_response(status, str(error))

    return answer
