"""`/telephony/NAME`: where a provider asks what to do with a call, and where it streams the call's sound.

POST in:  the provider's webhook, signed.   Out: XML that connects the call to the stream's address, with a token.
WebSocket in:  the stream, signed or with that token.   Out: the agent's side of the call; or the line is closed, and
the close frame tells why. Asterisk has no webhook, and shows the line's secret as a password.

A line without a secret is there for callers of this machine alone.
"""

import asyncio
import base64
import hmac
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response, WebSocket
from loguru import logger
from starlette.datastructures import Headers
from starlette.websockets import WebSocketDisconnect

from agent.errors import SottoError
from agent.server.calls.sessions import BusyError, LiveSessions
from agent.server.calls.websocket import told
from agent.server.telephony.calls import Tell, hold_call
from agent.server.telephony.markup import BUSY, MEDIA_TYPE, TOKEN_PARAMETER, connecting
from agent.server.telephony.refusals import Refusals
from agent.server.telephony.signatures import IS_SIGNED, SignedRequest, addresses_called
from agent.server.telephony.stream_tokens import StreamTokens
from agent.server.telephony.wrong_secrets import TOO_MANY, WrongSecrets
from agent.server.wire.json_body import RequestError, error_response, read_body
from agent.server.wire.networks import network_of_scope
from agent.server.wire.owner import sits_here
from agent.server.wire.paths import TELEPHONY, telephone_path
from agent.server.wire.sockets import deny
from agent.settings.load import Settings
from agent.settings.telephony import Provider, TelephoneLine
from processors.errors import EngineUnavailableError
from transports.asterisk_socket import AsteriskStream, asterisk_stream
from transports.media_streams import MediaStream, plivo_stream, read_start, telnyx_stream, twilio_stream
from transports.telephone_protocol import ProtocolError
from transports.websocket_line import GOING_AWAY, MAX_REASON_BYTES, POLICY_VIOLATION, TRY_AGAIN_LATER

STREAMS: dict[Provider, Callable[[Mapping[str, Any]], Awaitable[MediaStream]]] = {
    "twilio": twilio_stream,
    "telnyx": telnyx_stream,
    "plivo": plivo_stream,
}
ASTERISK_SUBPROTOCOL = "media"
BASIC = {"WWW-Authenticate": 'Basic realm="sotto"'}
START_TIMEOUT_SECS = 10.0
MAX_FORM_BYTES = 64 * 1024
MAX_FIELDS = 200
WRONG_SIGNATURE = "the signature is missing or wrong: telephony.lines.{name}.secret, and telephony.url behind a proxy"
NO_SECRET = "telephony.lines.{name}.secret is not set: without it the line takes calls of this machine alone"  # noqa: S105
NO_TOKEN = "neither the handshake's signature nor the stream's token is right"  # noqa: S105

NO_PASSWORD = "the password is missing or wrong: telephony.lines.{name}.secret, as password in websocket_client.conf"  # noqa: S105


class RefusedStreamError(SottoError):
    """A stream may not begin."""


class TelephoneRoutes:
    """What both routes look at.

    Args:
        settings: The lines.
        sessions: Gives what holds conversations; raises a BusyError while there is nothing.
        tell: Told of each call what a page would be told.
    """

    def __init__(self, settings: Settings, sessions: Callable[[], LiveSessions], tell: Tell) -> None:
        self._settings = settings.telephony
        self._sessions = sessions
        self._tell = tell
        self._tokens = StreamTokens()
        self._refusals = Refusals()
        self._wrong = WrongSecrets()

    async def webhook(self, request: Request, name: str) -> Response:
        """What a provider is to do with a call."""
        line = self._line(name)
        if line is None or line.provider == "asterisk":
            return error_response(HTTPStatus.NOT_FOUND, f"there is no telephone line {name[:40]!r}")
        body = await read_body(request, MAX_FORM_BYTES)
        host = request.headers.get("host", "")
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        urls = addresses_called(self._settings.url, host, path, socket=False)
        signed = SignedRequest(urls, dict(request.headers), _fields_of(body), body)
        if problem := self._problem(name, line, signed, is_here=sits_here(request.scope)):
            self._refusals.tell(f"telephone line {name}", problem)
            return error_response(HTTPStatus.FORBIDDEN, problem)
        if self._is_busy():
            return Response(BUSY[line.provider], media_type=MEDIA_TYPE)
        stream = self._stream_url(request, host, name)
        return Response(connecting(line.provider, stream, self._tokens.give(name)), media_type=MEDIA_TYPE)

    async def stream(self, socket: WebSocket, name: str) -> None:
        """The sound of a call."""
        line = self._line(name)
        if line is None:
            await deny(socket, error_response(HTTPStatus.NOT_FOUND, f"there is no telephone line {name[:40]!r}"))
            return
        if line.secret is None and not sits_here(socket.scope):
            await deny(socket, error_response(HTTPStatus.FORBIDDEN, NO_SECRET.format(name=name)))
            return
        if line.provider == "asterisk" and (refusal := await self._password_refusal(socket, name, line)):
            await deny(socket, refusal)
            return
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(subprotocol=ASTERISK_SUBPROTOCOL if ASTERISK_SUBPROTOCOL in offered else None)
        try:
            begun = await _begin(socket, line.provider)
            if isinstance(begun, MediaStream):
                self._check_stream(socket, name, line, begun)
            await hold_call(socket, begun, line, self._sessions(), self._tell)
        except WebSocketDisconnect:
            logger.debug("a telephone line was closed before its stream had begun")
        except ProtocolError as error:
            await self._refuse(socket, name, error, error.code)
        except BusyError as error:
            await self._refuse(socket, name, error, TRY_AGAIN_LATER)
        except (SottoError, EngineUnavailableError) as error:
            await self._refuse(socket, name, error, POLICY_VIOLATION)

    async def _password_refusal(self, socket: WebSocket, name: str, line: TelephoneLine) -> Response | None:
        """What Asterisk is answered that does not show the line's secret; late where it shows another."""
        network = network_of_scope(socket.scope)
        is_shown = "authorization" in socket.headers
        if is_shown and self._wrong.are_unread(network):
            return error_response(HTTPStatus.TOO_MANY_REQUESTS, TOO_MANY)
        if _shows(socket, line):
            return None
        if is_shown:
            await self._wrong.wait(network)
        return error_response(HTTPStatus.UNAUTHORIZED, NO_PASSWORD.format(name=name), BASIC)

    async def _refuse(self, socket: WebSocket, name: str, error: Exception, code: int) -> None:
        reason = told(error)
        self._refusals.tell(f"telephone line {name}: a call was refused", reason)
        await socket.close(code, reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore"))

    def _line(self, name: str) -> TelephoneLine | None:
        return self._settings.lines.get(name)

    def _problem(self, name: str, line: TelephoneLine, request: SignedRequest, *, is_here: bool) -> str | None:
        """Why a request is refused."""
        if line.secret is None:
            return None if is_here else NO_SECRET.format(name=name)
        is_signed = IS_SIGNED[line.provider](line.secret.get_secret_value(), request)
        return None if is_signed else WRONG_SIGNATURE.format(name=name)

    def _check_stream(self, socket: WebSocket, name: str, line: TelephoneLine, begun: MediaStream) -> None:
        if line.secret is None:
            return
        brought = (begun.start.parameters.get(TOKEN_PARAMETER), socket.query_params.get(TOKEN_PARAMETER))
        if any(token and self._tokens.take(token, name) for token in brought):
            return
        if line.provider == "telnyx":
            # Its handshakes are not signed.
            raise RefusedStreamError(NO_TOKEN)
        headers = Headers(scope=socket.scope)
        urls = addresses_called(self._settings.url, headers.get("host", ""), socket.url.path, socket=True)
        if not IS_SIGNED[line.provider](line.secret.get_secret_value(), SignedRequest(urls, dict(headers))):
            raise RefusedStreamError(NO_TOKEN)

    def _is_busy(self) -> bool:
        try:
            return self._sessions().is_full
        except BusyError:
            return True

    def _stream_url(self, request: Request, host: str, name: str) -> str:
        if base := self._settings.url:
            return base.replace("http", "ws", 1) + telephone_path(name)
        # Who calls this machine itself calls it as it is; all others come through what ends https before it.
        is_plain = request.url.scheme == "http" and self._settings.lines[name].secret is None
        return f"{'ws' if is_plain else 'wss'}://{host}{telephone_path(name)}"


def telephone_routes(
    settings: Settings, sessions: Callable[[], LiveSessions], tell: Tell = lambda _: None
) -> APIRouter:
    """The routes.

    Args:
        settings: The lines.
        sessions: Gives what holds conversations; raises a BusyError while there is nothing.
        tell: Told of each call what a page would be told: its events, say.
    """
    router = APIRouter()
    routes = TelephoneRoutes(settings, sessions, tell)

    @router.post(f"{TELEPHONY}/{{name}}")
    async def webhook(request: Request, name: str) -> Response:
        return await routes.webhook(request, name)

    @router.websocket(f"{TELEPHONY}/{{name}}")
    async def stream(socket: WebSocket, name: str) -> None:
        await routes.stream(socket, name)

    return router


def _shows(socket: WebSocket, line: TelephoneLine) -> bool:
    """Whether Asterisk shows the line's secret as the password of its connection, under any name."""
    if line.secret is None:
        return True
    scheme, _, shown = socket.headers.get("authorization", "").partition(" ")
    try:
        password = base64.b64decode(shown.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(password, line.secret.get_secret_value().encode())


async def _begin(socket: WebSocket, provider: Provider) -> MediaStream | AsteriskStream:
    """Read how a stream begins.

    Raises:
        ProtocolError: Not as it must.
        RefusedStreamError: Not in time.
        WebSocketDisconnect: The far side has left.
    """
    try:
        async with asyncio.timeout(START_TIMEOUT_SECS):
            if provider == "asterisk":
                return asterisk_stream(await _message(socket))
            start = read_start(await _message(socket)) or read_start(await _message(socket))
    except TimeoutError:
        raise RefusedStreamError(f"no start came within {START_TIMEOUT_SECS:.0f} s") from None
    if start is None:
        raise ProtocolError('after the greeting must come {"event": "start", ...}')
    return await STREAMS[provider](start)


async def _message(socket: WebSocket) -> str | bytes:
    event = await socket.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event.get("code", GOING_AWAY))
    text = event.get("text")
    return text if text is not None else event["bytes"]


def _fields_of(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise RequestError(400, f"the form has more than {MAX_FIELDS} fields") from None
