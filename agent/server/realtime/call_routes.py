"""The routes of calls by WebRTC below /v1: an offer is answered, and a call hung up.

In:  POST /realtime/calls, a session description (application/sdp) or a form with `sdp` and `session`;
     POST /realtime/calls/ID/hangup.
Out: 201, the answer's description, and in `Location` where the call is; refusals in the API's shape.
"""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.errors import SottoError
from agent.server.calls.peers import Peers
from agent.server.calls.sessions import LiveSessions
from agent.server.guard.client_secrets import ClientSecrets
from agent.server.realtime.peer_calls import PeerCalls, UnknownCallError
from agent.server.realtime.problems import RealtimeProblem
from agent.server.realtime.route import first_config, refusal_of, wish_of
from agent.server.realtime.session_config import merged
from agent.server.wire.errors import ApiError
from agent.server.wire.form import Form, boundary_of
from agent.server.wire.json_body import MAX_BODY_BYTES, RequestError, read_body
from agent.server.wire.paths import REALTIME_CALLS
from agent.server.wire.slots import Places
from processors.errors import EngineUnavailableError
from transports.errors import OfferError
from transports.json_text import read_json

SDP = "application/sdp"
FIELDS = frozenset({"sdp", "session"})
BODIES = f"{SDP}, or multipart/form-data with sdp and session"
GetSessions = Callable[[], LiveSessions]
GetPeers = Callable[[], Peers]


def call_routes(
    sessions: GetSessions, peers: GetPeers, calls: PeerCalls, secrets: ClientSecrets, places: Places
) -> list[Route]:
    """The routes; the guard and the API's keys stand before them.

    Args:
        sessions: Gives what holds conversations; raises a SottoError while there is nothing.
        peers: Gives what answers offers; raises one, too.
        calls: Those that are under way.
        secrets: The short-lived keys.
        places: For what clients ask for beside their conversations.
    """

    async def begin(request: Request) -> Response:
        try:
            sdp, session = await _read(request)
            secret = secrets.find(request.scope["headers"])
            if not isinstance(session, dict):
                raise RealtimeProblem("session must be an object", param="session")
            config = first_config(request, merged(secret.session if secret else {}, session))
            wish = wish_of(request.scope, places)
            call_id, answer = await calls.join(sessions(), peers(), sdp, wish, config)
        except RequestError as error:
            raise ApiError(error.status, str(error), code="invalid_body") from error
        except ApiError:
            raise
        except (SottoError, OfferError, EngineUnavailableError) as error:
            raise refusal_of(error) from error
        return Response(answer, 201, {"Location": f"{REALTIME_CALLS}/{call_id}"}, SDP)

    async def hang_up(request: Request) -> Response:
        try:
            calls.hang_up(request.path_params["call_id"])
        except UnknownCallError as error:
            raise ApiError(404, str(error), param="call_id", code="call_not_found") from error
        return Response()

    return [
        Route("/realtime/calls", begin, methods=["POST"]),
        Route("/realtime/calls/{call_id}/hangup", hang_up, methods=["POST"]),
    ]


async def _read(request: Request) -> tuple[str, Any]:
    """The offer's session description, and what the session is to be."""
    content_type = request.headers.get("content-type", "")
    is_plain = content_type.partition(";")[0].strip().lower() == SDP
    form = None if is_plain else Form(boundary_of(content_type, BODIES), FIELDS, MAX_BODY_BYTES)
    body = await read_body(request, MAX_BODY_BYTES)
    if form is None:
        try:
            return body.decode(), {}
        except UnicodeDecodeError:
            raise ApiError(400, "the session description is not UTF-8 text", param="sdp") from None
    form.feed(body)
    form.end()
    [sdp] = form.fields.get("sdp", [])[-1:] or [""]
    [session] = form.fields.get("session", [])[-1:] or ["{}"]
    if not sdp:
        raise ApiError(400, "the form has no field sdp", param="sdp", code="missing")
    try:
        return sdp, read_json(session)
    except ValueError:
        raise ApiError(400, "session is not JSON", param="session", code="invalid_json") from None
