"""The routes of the Realtime protocol below /v1: the WebSocket, and short-lived keys for it.

In:  WebSockets at /realtime, POST /realtime/client_secrets.   Out: sessions, keys; refusals in the API's shape.
"""

from collections.abc import Callable, Mapping
from typing import Any

from loguru import logger
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from agent.conversation.histories import HistoryInUseError
from agent.errors import SottoError
from agent.server.calls.plans import SessionRequest
from agent.server.calls.sessions import BusyError, LiveSessions
from agent.server.guard.client_secrets import ClientSecrets
from agent.server.realtime.connection import RealtimeConnection
from agent.server.realtime.problems import RealtimeProblem, error_event
from agent.server.realtime.session_config import SessionConfig, asked_for, changed
from agent.server.wire.errors import ApiError
from agent.server.wire.json_body import RequestError, json_object
from agent.server.wire.owner import owner_of
from agent.server.wire.slots import Places
from agent.server.wire.sockets import deny
from processors.errors import EngineUnavailableError
from transports.errors import OfferError
from transports.websocket_line import INVALID_DATA

PROTOCOL = "realtime"
MIN_LIFE_SECS, MAX_LIFE_SECS, LIFE_SECS = 10, 7_200, 600
MAX_MODEL_CHARS = 200

GetSessions = Callable[[], LiveSessions]


def realtime_routes(sessions: GetSessions, secrets: ClientSecrets, places: Places) -> list[Route | WebSocketRoute]:
    """The routes; the guard and the API's keys stand before them.

    Args:
        sessions: Gives what holds conversations; raises a SottoError while there is nothing.
        secrets: The short-lived keys.
        places: For what clients ask for beside their conversations.
    """

    async def talk(socket: WebSocket) -> None:
        try:
            await _talk(socket, sessions, secrets, places)
        except WebSocketDisconnect:
            logger.debug("a Realtime client left before its session had begun")

    async def make_secret(request: Request) -> Response:
        return await _make_secret(request, secrets)

    return [
        WebSocketRoute("/realtime", talk),
        Route("/realtime/client_secrets", make_secret, methods=["POST"]),
    ]


async def _talk(socket: WebSocket, sessions: GetSessions, secrets: ClientSecrets, places: Places) -> None:
    secret = secrets.find(socket.scope["headers"])
    try:
        config = first_config(socket, dict(secret.session) if secret else {})
        live = sessions()
        async with live.planned(SessionRequest(owner=owner_of(socket.scope), places=places)) as plan:
            # A browser that offers protocols needs one of them in the answer.
            await socket.accept(PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None)
            try:
                await RealtimeConnection(socket, live, plan, config).run()
            except RealtimeProblem as problem:
                # What a key was made with may be gone by now.
                await socket.send_json(error_event(problem))
                await socket.close(INVALID_DATA, "the session cannot begin")
    except (SottoError, EngineUnavailableError) as error:
        await deny(socket, refusal_of(error).response())


def first_config(client: HTTPConnection, session: Mapping[str, Any]) -> SessionConfig:
    """What a session begins with: what its key was made for, `intent` and `model` of its address.

    Args:
        client: Its WebSocket, or its request.
        session: What it has asked for before, by its key.

    Raises:
        RealtimeProblem: A value is wrong.
    """
    is_transcription = client.query_params.get("intent") == "transcription" or session.get("type") == "transcription"
    model = client.query_params.get("model", "sotto")[:MAX_MODEL_CHARS]
    if is_transcription:
        base = SessionConfig.model_validate(
            {"type": "transcription", "audio": {"input": {"transcription": {"model": model}}}}
        )
        return changed(base, {**session, "type": "transcription"})
    return changed(SessionConfig(model=model), session)


def refusal_of(error: Exception) -> ApiError:
    """What a client is told that gets no session.

    Args:
        error: Why.
    """
    if isinstance(error, RealtimeProblem):
        return ApiError(400, str(error), param=error.param, code=error.code)
    if isinstance(error, OfferError):
        return ApiError(400, str(error), param="sdp", code="invalid_offer")
    if isinstance(error, (BusyError, HistoryInUseError)):
        return ApiError(429, str(error), code="rate_limit_exceeded")
    return ApiError(503, str(error), code="unavailable")


async def _make_secret(request: Request, secrets: ClientSecrets) -> Response:
    try:
        body = await json_object(request)
    except RequestError as error:
        raise ApiError(error.status, str(error)) from error
    session = body.get("session")
    session = {} if session is None else session
    try:
        kind = session.get("type") if isinstance(session, dict) else None
        base = SessionConfig(type="transcription" if kind == "transcription" else "realtime")
        config = changed(base, session)
    except RealtimeProblem as problem:
        raise ApiError(400, str(problem), param=problem.param, code=problem.code) from problem
    made = secrets.make(_life_secs(body.get("expires_after")), asked_for(config, session))
    told = {"object": "realtime.session", "id": "", **config.told()}
    return JSONResponse({"value": made.value, "expires_at": made.expires_at, "session": told})


def _life_secs(wanted: object) -> int:
    if wanted is None:
        return LIFE_SECS
    secs = wanted.get("seconds", LIFE_SECS) if isinstance(wanted, dict) else None
    if isinstance(secs, bool) or not isinstance(secs, int) or not MIN_LIFE_SECS <= secs <= MAX_LIFE_SECS:
        raise ApiError(
            400,
            f"expires_after.seconds must be a number from {MIN_LIFE_SECS} to {MAX_LIFE_SECS}",
            param="expires_after.seconds",
            code="invalid_value",
        )
    return secs
