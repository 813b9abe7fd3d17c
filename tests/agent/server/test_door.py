"""The door, real sockets on loopback and time that the test owns: who is let in, who is closed, and what is told."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from loguru import logger
from starlette.requests import Request
from starlette.websockets import WebSocket

from agent.server.calls.websocket import UVICORN_OPTIONS
from agent.server.guard.certificates import certificate_files
from agent.server.guard.places import REQUEST_SECS, Places
from agent.server.guard.plain_http import plain_http_answer
from agent.server.http_server import HttpServer
from agent.settings.load import load_settings
from tests.support.virtual_time import in_virtual_time

HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
# A sweep comes once a second; nothing else is due.
SOON_SECS = REQUEST_SECS + 3
HELLO = b"\x16\x03\x01\x02\x00"


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def hello() -> str:
        return "hello"

    @app.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    @app.websocket("/echo")
    async def echo(line: WebSocket) -> None:
        await line.accept()
        while True:
            await line.send_text(await line.receive_text())

    return app


class House:
    """A server behind a door."""

    def __init__(self, server: HttpServer, port: int) -> None:
        self.server = server
        self.port = port

    @property
    def places(self) -> Places:
        return self.server.places

    async def connect(self, first: bytes = b"") -> "Line":
        line = Line(*await asyncio.open_connection("127.0.0.1", self.port))
        line.writer.write(first)
        return line


class Line:
    """One client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> bytes:
        """All that comes before the server closes the connection, or the first answer."""
        head = b""
        with suppress(asyncio.IncompleteReadError, ConnectionResetError):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
            return head + await self.reader.readexactly(length)
        return head

    async def until_closed(self) -> None:
        with suppress(ConnectionError):
            await self.reader.read()
        self.writer.close()


@asynccontextmanager
async def house(*, most: int = 8, share: int = 8, tls: ssl.SSLContext | None = None) -> AsyncIterator[House]:
    options: dict[str, Any] = {"ssl_context_factory": (lambda *_: tls) if tls else None, **UVICORN_OPTIONS}
    config = uvicorn.Config(application(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1, **options)
    server = HttpServer(config)
    server.places = Places(most, share)
    bound = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([bound]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield House(server, bound.getsockname()[1])
    finally:
        server.should_exit = True
        await serving
        bound.close()


@in_virtual_time
async def test_a_silent_a_dripping_and_a_half_connection_are_closed_in_time() -> None:
    async with house() as served:
        silent, half = await served.connect(), await served.connect(HEAD)
        dripping = await served.connect()

        async def drip() -> None:
            with suppress(ConnectionError):
                for n in range(200):
                    dripping.writer.write(HEAD[n % len(HEAD) :][:1])
                    await dripping.writer.drain()
                    await asyncio.sleep(1)

        task = asyncio.create_task(drip())
        async with asyncio.timeout(SOON_SECS):
            await asyncio.gather(*(line.until_closed() for line in (silent, half, dripping)))
        await task
        assert len(served.places) == 0


@in_virtual_time
async def test_between_two_requests_dripping_is_limited_too() -> None:
    async with house() as served:
        line = await served.connect(HEAD + b"\r\n")
        assert b"hello" in await line.answer()
        line.writer.write(b"GET")
        async with asyncio.timeout(SOON_SECS):
            await line.until_closed()
        unread = await served.connect(HEAD + b"Content-Length: 99\r\n\r\n")
        assert b"hello" in await unread.answer()
        async with asyncio.timeout(SOON_SECS):
            await unread.until_closed()


@in_virtual_time
async def test_a_flood_neither_keeps_a_new_client_out_nor_takes_a_calls_place() -> None:
    async with house(most=6, share=4) as served:
        upgrade = HEAD.replace(b"/ ", b"/echo ") + (
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        call = await served.connect(upgrade)
        assert (await call.answer()).startswith(b"HTTP/1.1 101")
        # A masked text message, `hi`, whose mask is zero.
        call.writer.write(b"\x81\x82\0\0\0\0hi")
        assert await call.reader.readexactly(4) == b"\x81\x02hi"
        flood = [await served.connect(HEAD) for _ in range(30)]
        client = await served.connect(HEAD + b"\r\n")
        assert b"hello" in await client.answer()
        assert len(served.places) <= 4
        call.writer.write(b"\x81\x82\0\0\0\0yo")
        assert await call.reader.readexactly(4) == b"\x81\x02yo"
        for line in (call, client, *flood):
            line.writer.close()


@in_virtual_time
async def test_an_upload_that_takes_long_is_not_cut_and_keeps_its_place_while_it_flows() -> None:
    async with house(most=3, share=3) as served:
        size = 40 * 64 * 1024
        head = HEAD.replace(b"GET / ", b"POST /body ") + b"Content-Length: %d\r\n\r\n" % size
        upload = await served.connect(head)
        for _ in range(40):
            (await served.connect()).writer.close()
            upload.writer.write(b"x" * 64 * 1024)
            await upload.writer.drain()
            await asyncio.sleep(1)
        assert str(size).encode() in await upload.answer()
        upload.writer.close()


@in_virtual_time
async def test_who_is_turned_away_is_told_once_a_minute() -> None:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level="WARNING", format="{message}")
    try:
        async with house(most=4, share=2) as served:
            for _ in range(5):
                flood = [await served.connect(HEAD) for _ in range(40)]
                await asyncio.sleep(5)
                for line in flood:
                    line.writer.close()
    finally:
        logger.remove(sink)
    assert len(lines) == 1
    assert lines[0].endswith("(4, 2 for one network), were closed: 38 of this machine\n")


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    files = certificate_files(load_settings({"server.https": True}).server, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.private_key)
    return context


@in_virtual_time
async def test_a_handshake_that_does_not_end_is_closed_in_time(tls: ssl.SSLContext) -> None:
    async with house(tls=tls) as served:
        lines = [await served.connect(first) for first in (b"", HELLO, HELLO + b"\1" * 100)]
        async with asyncio.timeout(SOON_SECS):
            await asyncio.gather(*(line.until_closed() for line in lines))
        assert len(served.places) == 0


@in_virtual_time
async def test_plain_http_on_the_port_of_https_is_told_the_address(tls: ssl.SSLContext) -> None:
    async with house(tls=tls) as served:
        line = await served.connect(HEAD.replace(b"/ ", b"/a?b=c ").replace(b"127.0.0.1", b"box.local:7860") + b"\r\n")
        answer = await line.answer()
        line.writer.close()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b"\r\n\r\nthis port speaks https: https://box.local:7860/a?b=c\n")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=context)
        writer.write(HEAD + b"Connection: close\r\n\r\n")
        assert json.loads((await reader.read()).rpartition(b"\r\n\r\n")[2]) == "hello"
        writer.close()


@pytest.mark.parametrize(
    ("head", "url"),
    [
        (b"garbage", "https://127.0.0.1:7860/"),
        (b"GET /\r\n<script> HTTP/1.1\r\nHost: <script>\r\n\r\n", "https://127.0.0.1:7860/"),
        (b"GET http://evil/ HTTP/1.1\r\nHost: [::1]:7860\r\n\r\n", "https://[::1]:7860/"),
    ],
)
def test_what_is_no_address_is_not_repeated(head: bytes, url: str) -> None:
    assert plain_http_answer(head, ("127.0.0.1", 7860)).endswith(f"\r\n\r\nthis port speaks https: {url}\n".encode())
