"""Every path by every method and kind of upgrade: an answer in form with security headers, never a traceback."""

import asyncio
import itertools
import logging
from collections.abc import Iterator

import pytest

from agent.server.http_server import OncePerMinute
from agent.server.state import ServerState
from agent.settings.load import load_settings
from tests.support.served import listening
from tests.support.virtual_time import in_virtual_time

PATHS = (
    *("/", "/health", "/api/offer", "/api/chat", "/api/ws", "/api/options", "/api/transcribe", "/api/conversations/x"),
    *("/v1", "/v1/", "/v1/x", "/v1/models", "/v1/models/x", "/v1/audio/transcriptions", "/nothing", "//x", "/%ff"),
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW")
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
WEBSOCKET = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
UPGRADES = {
    "none": "",
    "whole": f"{WEBSOCKET}{KEY}Sec-WebSocket-Version: 13\r\n",
    "half": WEBSOCKET,
    "old": f"{WEBSOCKET}{KEY}Sec-WebSocket-Version: 8\r\n",
    "broken key": f"{WEBSOCKET}Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n",
    "h2c": "Connection: Upgrade\r\nUpgrade: h2c\r\n",
}


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def records() -> Iterator[list[str]]:
    """What uvicorn would have written, bounds or not."""
    handler, log = Records(), logging.getLogger("uvicorn.error")
    log.addHandler(handler)
    yield handler.lines
    log.removeHandler(handler)


async def head_of(port: int, method: str, path: str, upgrade: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{UPGRADES[upgrade]}\r\n".encode())
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head


@pytest.mark.parametrize("api_only", [False, True])
@pytest.mark.parametrize("locks", [{}, {"server.api_key": "key"}, {"server.token": "long enough"}])
@in_virtual_time
async def test_every_request_gets_an_answer_in_form(
    locks: dict[str, str], api_only: bool, records: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OncePerMinute, "filter", lambda _, record: "completing handshake" not in record.getMessage())
    wrong: list[str] = []
    async with listening(ServerState(load_settings(locks), api_only=api_only)) as url:
        port = int(url.rpartition(":")[2])
        for path in PATHS:
            kinds = list(itertools.product(METHODS, UPGRADES))
            for (method, upgrade), head in zip(
                kinds,
                await asyncio.gather(*(head_of(port, method, path, upgrade) for method, upgrade in kinds)),
                strict=True,
            ):
                status = int(head.split()[1])
                is_open = (path, method, upgrade) == ("/api/ws", "GET", "whole") and status == 101
                is_in_form = b"\r\nx-content-type-options: nosniff\r\n" in head.lower() and status in FORMS
                if not (is_open or is_in_form):
                    wrong.append(f"{method} {path} {upgrade}: {head.decode('latin-1')[:60]!r}")
    assert wrong == []
    assert records == []


# What there may be while the models are being loaded.
FORMS = {200, 304, 307, 400, 401, 403, 404, 405, 415, 503}


@pytest.mark.parametrize(
    ("locks", "status", "code"),
    [
        ({}, 404, "unknown_url"),
        ({"server.api_key": "key"}, 401, "invalid_api_key"),
        ({"server.token": "long enough"}, 401, "invalid_api_key"),
    ],
)
@in_virtual_time
async def test_a_websocket_to_the_speech_api_is_refused_in_its_own_form(
    locks: dict[str, str], status: int, code: str
) -> None:
    async with listening(ServerState(load_settings(locks))) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(f"GET /v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\n{UPGRADES['whole']}\r\n".encode())
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert f'"code": "{code}"'.encode() in answer
