"""The guard in front of every route: refuses what other sites make a browser send here, and callers without the token.

In:  HTTP requests and WebSocket upgrades.   Out: the same, the page's security headers on the answers; or 401, 403.

- The Host must be a name of ours (or, where the server listens on any address, the very address that was called):
  a site whose own name suddenly resolves to this machine (DNS rebinding) gets nothing.
- The Origin, if a browser sends one, must be that host.
- Where `server.token` is set, callers show it; /health says without it only whether the server is ready.
- A telephone line that has a secret is guarded by its provider's signature instead (agent/server/telephony): a provider
  knows neither a token of ours nor our name, and a page of another site cannot sign. A line without one is guarded as
  all else.
- Wrong tokens and keys are answered late, later with every one of an address; the right one at once. Beyond this
  machine a bearer is not even looked at while very many wrong ones of its address wait; the page's cookie always is.
"""

import asyncio
import hmac
import ipaddress
import time
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from agent.server.guard.client_secrets import ClientSecrets, with_protocol_key
from agent.server.guard.guesses import MOST_DELAY_SECS, Guesses
from agent.server.guard.token import AccessToken
from agent.server.wire.errors import ApiError
from agent.server.wire.events import Body, refuse_unread
from agent.server.wire.json_body import error_response
from agent.server.wire.networks import LOOPBACK, network_of_scope
from agent.server.wire.owner import LOCAL_HOSTS
from agent.server.wire.paths import (
    BY_SECRET,
    HEALTH,
    LIVE,
    READY,
    SHOWN,
    is_api_path,
    opens_by_client_secret,
    telephone_path,
)
from agent.server.wire.sockets import deny
from agent.settings.serving import ServerSettings
from agent.settings.telephony import TelephonySettings

ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:; manifest-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Another site can neither embed anything of ours nor find out by trying that it is here.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(self), geolocation=(), display-capture=()",
    "Cache-Control": "no-cache",
}
ASK_TO_OPEN = "this server asks for its access token: open the address that `sotto serve` printed, ?token=... and all"
ASK_FOR_BEARER = "the access token is missing or wrong: Authorization: Bearer TOKEN (setting server.token)"
TOO_MANY = "too many wrong tokens are waiting for their answers; try again later"
RETRY_LATER = {"Retry-After": f"{MOST_DELAY_SECS:.0f}"}
BEARER = {"WWW-Authenticate": 'Bearer realm="sotto"'}


class Guard:
    """ASGI middleware.

    Args:
        app: The application behind it.
        server: Host names, token.
        telephony: Lines, some of which ask for a signature.
        secrets: Short-lived keys of Realtime clients.
    """

    def __init__(
        self,
        app: ASGIApp,
        server: ServerSettings,
        telephony: TelephonySettings = TelephonySettings(),  # noqa: B008 - frozen  # pyright: ignore[reportCallIssue]
        secrets: ClientSecrets | None = None,
    ) -> None:
        self._app = app
        self._secrets = secrets or ClientSecrets()
        self._server = server
        self._signed = {telephone_path(name) for name, line in telephony.lines.items() if line.secret}
        token = server.token
        self._token = AccessToken(token) if token and token.get_secret_value() else None
        self._api_key = server.api_key.get_secret_value().encode() if server.api_key else b""
        self._guesses = Guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        scope = with_protocol_key(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = None if self._asks_for_signature(scope) else await self._answer_in_time(scope)
        if answer is None:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "websocket":
            await deny(WebSocket(scope, receive, send_with_headers), answer)
        else:
            await refuse_unread(answer, Body(receive), send_with_headers)

    def _asks_for_signature(self, scope: Scope) -> bool:
        is_call = scope["type"] == "websocket" or scope["method"] == "POST"
        return is_call and scope["path"] in self._signed

    async def _answer_in_time(self, scope: Scope) -> Response | None:
        """As `_answer`; late where a wrong token or key was shown."""
        network = network_of_scope(scope)
        is_unread = network != LOOPBACK and self._guesses.is_crowded(network) and not self._has_cookie(scope)
        if is_unread and self._claims(scope):
            return _refusal(scope["path"], HTTPStatus.TOO_MANY_REQUESTS, TOO_MANY)
        answer = self._answer(scope)
        if not self._is_wrong(scope, answer):
            return answer
        if self._guesses.is_crowded(network):
            return _refusal(scope["path"], HTTPStatus.TOO_MANY_REQUESTS, TOO_MANY)
        # It waits whether or not the caller does: hanging up makes room for no further guess.
        delay_secs = self._guesses.begin(network, time.monotonic())
        try:
            await asyncio.sleep(delay_secs)
        finally:
            self._guesses.end(network)
        return answer

    def _has_cookie(self, scope: Scope) -> bool:
        cookies = [(name, value) for name, value in scope["headers"] if name == b"cookie"]
        return self._token is not None and self._token.is_shown(cookies)

    def _claims(self, scope: Scope) -> bool:
        """Whether something is shown that is to open what the request asks for."""
        if self._token is None:
            is_claimed = any(name == b"authorization" for name, _ in scope["headers"])
            return bool(self._api_key) and is_api_path(scope["path"]) and is_claimed
        return self._token.is_claimed(scope["headers"]) or (
            scope["path"] == "/" and b"token=" in scope.get("query_string", b"")
        )

    def _is_wrong(self, scope: Scope, answer: Response | None) -> bool:
        """Whether what is shown opens nothing."""
        if answer is not None and answer.status_code != HTTPStatus.UNAUTHORIZED:
            return False
        if scope.get("state", {}).get(SHOWN) or not self._claims(scope):
            return False
        return not (is_api_path(scope["path"]) and self._is_key(scope))

    def _is_key(self, scope: Scope) -> bool:
        shown = dict(scope["headers"]).get(b"authorization", b"")[7:].strip()
        return bool(self._api_key) and hmac.compare_digest(shown, self._api_key)

    def _answer(self, scope: Scope) -> Response | None:
        """What is answered at once; None where the application is to answer."""
        headers = Headers(scope=scope)
        problem = foreign(headers, scope, self._server)
        if problem:
            return _refusal(scope["path"], HTTPStatus.FORBIDDEN, problem)
        if opens_by_client_secret(scope["path"]) and self._secrets.find(scope["headers"]):
            scope["state"] = {**scope.get("state", {}), SHOWN: True, BY_SECRET: True}
            return None
        if self._token is None:
            return None
        shown = self._token.is_shown(scope["headers"])
        scope["state"] = {**scope.get("state", {}), SHOWN: shown}
        opening = self._opening(scope, self._token)
        # The speech API asks for the token itself, or for its own key.
        if opening or shown or scope["path"] in (HEALTH, LIVE, READY) or is_api_path(scope["path"]):
            return opening
        if "text/html" in headers.get("accept", ""):
            return PlainTextResponse(ASK_TO_OPEN + "\n", HTTPStatus.UNAUTHORIZED, BEARER)
        return _refusal(scope["path"], HTTPStatus.UNAUTHORIZED, ASK_FOR_BEARER)

    def _opening(self, scope: Scope, token: AccessToken) -> Response | None:
        """The page opened with the token in its address: a cookie takes its place."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] not in ("GET", "HEAD"):
            return None
        shown = parse_qs(scope["query_string"].decode("latin-1"), errors="surrogateescape").get("token")
        if not shown or not token.is_token(shown[-1]):
            return None
        cookie = token.cookie(secure=scope["scheme"] == "https")
        return Response(status_code=303, headers={"Location": "/", "Set-Cookie": cookie, "Cache-Control": "no-store"})


def _refusal(path: str, status: HTTPStatus, problem: str) -> Response:
    headers = {HTTPStatus.UNAUTHORIZED: BEARER, HTTPStatus.TOO_MANY_REQUESTS: RETRY_LATER}.get(status)
    if is_api_path(path):
        code = "rate_limit_exceeded" if status == HTTPStatus.TOO_MANY_REQUESTS else "forbidden"
        return ApiError(status, problem, code=code, headers=headers).response()
    return error_response(status, problem, headers)


def foreign(headers: Headers, scope: Scope, server: ServerSettings) -> str | None:
    """Why a request is refused: its Host is not ours (DNS rebinding), or its Origin is another site."""
    host = headers.get("host", "").lower()
    name = host.rsplit(":", 1)[0] if ":" in host and not host.endswith("]") else host
    if not _is_ours(name, scope, server):
        return f"this host name is not allowed: {name[:80]} (see the setting server.allowed_hosts)"
    origin = headers.get("origin")
    if origin and _site_of(origin) != host:
        return f"this origin is not allowed: {origin[:80]}"
    return None


def _is_ours(name: str, scope: Scope, server: ServerSettings) -> bool:
    if name in LOCAL_HOSTS or name in (allowed.lower() for allowed in server.allowed_hosts):
        return True
    if server.host not in ANY_ADDRESS:
        return name in (server.host.lower(), f"[{server.host.lower()}]")
    # A page that a browser loads from an address has no name that could be made to resolve elsewhere.
    called = address_of(str((scope.get("server") or ("",))[0]))
    return called is not None and address_of(name.strip("[]")) == called


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IP address without its zone; one of IPv4 written as IPv6 is of IPv4. None for anything else."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _site_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
