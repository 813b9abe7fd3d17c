"""Who is let in: the access token, by address, cookie and header; host names and origins, of WebSockets too."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from pydantic import SecretStr
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from agent.errors import SettingsError
from agent.server.app import build_app
from agent.server.guard.access import Guard
from agent.server.guard.addresses import page_urls, unprotected_warning
from agent.server.guard.own_addresses import own_addresses
from agent.server.guard.token import AccessToken
from agent.server.state import ServerState
from agent.settings.load import effective_values, load_settings, public_values
from tests.support.served import listening

TOKEN = "open sesame é&="  # what a user may think of
BEARER = {b"Authorization": b"Bearer " + TOKEN.encode()}
PAGE = {"Accept": "text/html,*/*"}


def state_of(**settings: Any) -> ServerState:
    return ServerState(load_settings({f"server.{key}": value for key, value in settings.items()}))


def client_of(state: ServerState, app: Any = None) -> httpx.AsyncClient:
    """A client of the application itself, without a server between."""
    transport = httpx.ASGITransport(app or build_app(state))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860")


@pytest.fixture
async def locked() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(state_of(token=TOKEN)) as client:
        yield client


async def test_the_page_opened_with_the_token_remembers_it_in_a_cookie(locked: httpx.AsyncClient) -> None:
    before = await locked.get("/", headers=PAGE)
    assert before.status_code == 401
    assert before.text.startswith("this server asks for its access token: open the address")
    opened = await locked.get("/", params={"token": TOKEN})
    assert (opened.status_code, opened.headers["location"]) == (303, "/")
    assert opened.headers["cache-control"] == "no-store"
    cookie = opened.headers["set-cookie"]
    assert cookie.endswith("; HttpOnly; SameSite=Strict")
    assert TOKEN not in cookie
    assert (await locked.get("/")).status_code == 200
    assert (await locked.get("/health")).json()["engines"] == {}
    # It gets through to what is still being loaded.
    assert (await locked.post("/api/chat", json={"text": "hi"})).status_code == 503
    assert (await locked.get("/v1/models")).status_code == 503


@pytest.mark.parametrize("shown", ["", "wrong", TOKEN + "x", TOKEN[:-1], "open+sesame", "\x00", "é" * 500])
async def test_a_wrong_token_opens_nothing(locked: httpx.AsyncClient, shown: str) -> None:
    for response in (
        await locked.get("/", params={"token": shown}),
        await locked.get("/", headers={b"Authorization": b"Bearer " + shown.encode()}),
        await locked.get("/", headers={b"Cookie": b"sotto_token=" + shown.encode()}),
        await locked.get(
            "/", headers={b"Cookie": f"{AccessToken(SecretStr(TOKEN)).cookie_name}=".encode() + b"x" * 64}
        ),
    ):
        assert response.status_code == 401
        assert "set-cookie" not in response.headers
        assert response.headers["www-authenticate"] == 'Bearer realm="sotto"'


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/index.html"),
        ("GET", "/nothing"),
        ("POST", "/api/offer"),
        ("PATCH", "/api/offer"),
        ("POST", "/api/chat"),
        ("POST", "/api/transcribe"),
        ("GET", "/api/anything/at/all"),
        ("GET", f"/api/chat?token={TOKEN}"),
        ("POST", f"/?token={TOKEN}"),
    ],
)
async def test_without_the_token_nothing_but_health_answers(locked: httpx.AsyncClient, method: str, path: str) -> None:
    refused = await locked.request(method, path)
    assert refused.status_code == 401
    assert refused.json() == {
        "error": "the access token is missing or wrong: Authorization: Bearer TOKEN (setting server.token)"
    }
    assert (await locked.request(method, path, headers=BEARER)).status_code != 401


async def test_health_says_without_the_token_only_whether_it_is_ready(locked: httpx.AsyncClient) -> None:
    assert (await locked.get("/health")).json() == {"status": "starting"}
    assert "engines" in (await locked.get("/health", headers=BEARER)).json()


async def test_the_speech_api_takes_the_token_or_its_own_key() -> None:
    async with client_of(state_of(token=TOKEN, api_key="key")) as client:
        refused = await client.get("/v1/models")
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        for headers in (BEARER, {b"Authorization": b"Bearer key"}):
            assert (await client.get("/v1/models", headers=headers)).status_code == 503
        # The key opens the API alone.
        assert (await client.get("/", headers={"Authorization": "Bearer key"})).status_code == 401
    async with client_of(state_of(token=TOKEN)) as client:
        assert (await client.get("/v1/models")).status_code == 401
    async with client_of(state_of(api_key="key")) as client:
        assert (await client.get("/")).status_code == 200


async def test_by_https_the_cookie_is_for_https_alone() -> None:
    transport = httpx.ASGITransport(build_app(state_of(token=TOKEN)))
    async with httpx.AsyncClient(transport=transport, base_url="https://127.0.0.1:7860") as client:
        opened = await client.get("/", params={"token": TOKEN})
    assert opened.headers["set-cookie"].endswith("; SameSite=Strict; Secure")


def test_auto_makes_another_token_at_every_start() -> None:
    tokens = [state_of(token="auto").settings.server.token for _ in range(2)]
    assert all(tokens)
    texts = {token.get_secret_value() for token in tokens if token}
    assert len(texts) == 2
    # 18 random bytes are 24 characters of base 64.
    assert all(re.fullmatch(r"[\w-]{24}", text) for text in texts)
    assert state_of().settings.server.token is None


def test_a_short_token_is_refused_and_none_is_ever_shown() -> None:
    with pytest.raises(SettingsError, match=r"server\.token: .*shorter than 8 characters") as caught:
        load_settings({"server.token": "sesame"})
    assert "sesame" not in str(caught.value)
    ice = '[{"urls": "turn:a.example", "username": "me", "credential": "secret1"}]'
    settings = load_settings({"server.token": TOKEN, "server.ice_servers": ice})
    shown = str(dict(effective_values(settings))) + str(public_values(settings))
    assert TOKEN not in shown
    assert "secret1" not in shown


@pytest.mark.parametrize(
    ("listening_on", "called", "host", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1", "localhost:7860", True),
        ("127.0.0.1", "127.0.0.1", "192.0.2.2:7860", False),
        ("192.0.2.2", "192.0.2.2", "192.0.2.2:7860", True),
        ("0.0.0.0", "192.0.2.2", "192.0.2.2:7860", True),
        ("0.0.0.0", "192.0.2.2", "192.0.2.3:7860", False),
        ("0.0.0.0", "192.0.2.2", "localhost:7860", True),
        ("0.0.0.0", "192.0.2.2", "192.0.2.2.evil.example", False),
        ("0.0.0.0", "192.0.2.2", "evil.example", False),
        ("0.0.0.0", "192.0.2.2", "House.example:7860", True),
        ("::", "::ffff:192.0.2.2", "192.0.2.2:7860", True),
        ("::", "2001:db8::1", "[2001:db8::1]:7860", True),
        ("::", "2001:db8::1", "[2001:DB8:0::1]:7860", True),
        ("::", "2001:db8::1", "[2001:db8::2]:7860", False),
        ("2001:db8::1", "2001:db8::1", "[2001:db8::1]:7860", True),
        ("0.0.0.0", "192.0.2.2", "", False),
        ("0.0.0.0", "192.0.2.2", "[", False),
    ],
)
async def test_other_devices_call_it_by_its_address_and_by_allowed_names(
    listening_on: str, called: str, host: str, allowed: bool
) -> None:
    state = state_of(host=listening_on, allowed_hosts="house.example")

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await Guard(build_app(state), state.settings.server)({**scope, "server": (called, 7860)}, receive, send)

    async with client_of(state, call) as client:
        own = await client.get("/health", headers={"Host": host, "Origin": f"https://{host}"})
        foreign = await client.get("/health", headers={"Host": host, "Origin": "https://evil.example"})
    assert own.status_code == (503 if allowed else 403)
    assert foreign.status_code == 403


async def refusal_of(url: str, **options: Any) -> tuple[int, str]:
    """The HTTP answer to a WebSocket upgrade that is refused."""
    with pytest.raises(InvalidStatus) as caught:
        async with connect(url, proxy=None, **options):
            raise AssertionError("it was let in")
    return caught.value.response.status_code, (caught.value.response.body or b"").decode()


async def test_websockets_are_guarded_as_all_else() -> None:
    token = SecretStr("open sesame")
    bearer = {"Authorization": "Bearer open sesame"}
    state = state_of(token=token)
    app = build_app(state)
    async with listening(state, _with_echo(app)) as url:
        echo = url.replace("http", "ws") + "/echo"
        site = {"Origin": "https://evil.example"}
        assert await refusal_of(echo, additional_headers={**bearer, **site}) == (
            403,
            '{"error": "this origin is not allowed: https://evil.example"}',
        )
        rebound = urlsplit(url)
        foreign = await refusal_of(
            f"ws://evil.example:{rebound.port}/echo", host="127.0.0.1", port=rebound.port, additional_headers=bearer
        )
        assert foreign == (
            403,
            '{"error": "this host name is not allowed: evil.example (see the setting server.allowed_hosts)"}',
        )
        assert await refusal_of(echo) == (
            401,
            '{"error": "the access token is missing or wrong: Authorization: Bearer TOKEN (setting server.token)"}',
        )
        cookie = AccessToken(token).cookie(secure=False).partition(";")[0]
        for headers in (bearer, {"Cookie": cookie, "Origin": url}):
            async with connect(echo, proxy=None, additional_headers=headers) as socket:
                await socket.send("hello")
                assert await asyncio.wait_for(socket.recv(), 30) == "hello"
        assert await refusal_of(url.replace("http", "ws") + "/nothing", additional_headers=bearer) == (
            404,
            '{"error": "there is no WebSocket at /nothing"}',
        )


def _with_echo(app: FastAPI) -> FastAPI:
    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())

    # Before the route that takes all other WebSockets.
    app.router.routes.insert(0, app.router.routes.pop())
    return app


def test_the_addresses_that_are_told_can_be_opened() -> None:
    server = load_settings({"server.host": "0.0.0.0", "server.token": "a b/c&de?f"}).server
    own = [f"http://{address}:80/?token=a%20b%2Fc%26de%3Ff" for address in own_addresses() if address.version == 4]
    assert page_urls(server, "0.0.0.0", 80) == ["http://127.0.0.1:80/?token=a%20b%2Fc%26de%3Ff", *own]
    assert page_urls(load_settings().server, "127.0.0.1", 7860) == ["http://127.0.0.1:7860"]
    assert page_urls(load_settings({"server.https": True}).server, "::1", 7860) == ["https://[::1]:7860"]
    assert page_urls(load_settings().server, "::", 7860)[0] == "http://[::1]:7860"


@pytest.mark.parametrize(
    ("settings", "address", "api_only", "warned"),
    [
        ({}, "127.0.0.1", False, False),
        ({}, "::1", False, False),
        ({}, "0.0.0.0", False, True),
        ({}, "::", True, True),
        ({}, "192.0.2.2", False, True),
        ({"server.api_key": "key"}, "0.0.0.0", False, True),
        ({"server.api_key": "key"}, "0.0.0.0", True, False),
        ({"server.token": "auto"}, "0.0.0.0", False, False),
    ],
)
def test_who_listens_to_everyone_without_a_token_is_warned(
    settings: dict[str, str], address: str, api_only: bool, warned: bool
) -> None:
    warning = unprotected_warning(load_settings(settings).server, address, api_only=api_only)
    assert (warning is not None) == warned
    assert warning is None or (address in warning and "--set server.token=auto" in warning and "\n" not in warning)
