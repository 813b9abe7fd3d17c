"""Callers that mean harm, or are broken: the real HTTP server over loopback, which must be the same again afterwards.

Everything runs in the test's own process, so that sessions, tasks and memory can be counted.
"""

import asyncio
import gc
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from agent.conversation.conversation import Conversation
from agent.conversation.histories import MAX_HISTORIES
from agent.server.wire import json_body
from tests.support.llm_session import options
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.served import ServedEngine, serving_page
from tests.support.speech_callers import NotingEngine
from tests.support.webrtc_peer import Peer
from transports import webrtc

TIMEOUT_SECS = 60
MEGABYTE = 2**20
# What connections and sessions may leave behind in the allocator; a leak of every offer or question would be far more.
MEMORY_BYTES = 150 * MEGABYTE
FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"


@dataclass
class Target:
    """A server, its scripted language model, and a client without limits of its own."""

    served: ServedEngine
    llm: ScriptedLLM
    client: httpx.AsyncClient

    @property
    def n_sessions(self) -> int:
        return self.served.state.sessions().n_active

    async def settle(self, n_tasks: int) -> None:
        """Wait until there is no session and no task more than before."""
        async with asyncio.timeout(TIMEOUT_SECS):
            while self.n_sessions or len(asyncio.all_tasks()) > n_tasks:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def target(**limits: Any) -> AsyncIterator[Target]:
    """A server; what was there before it is attacked must be all that is there after."""
    connections = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with (
        ScriptedLLM() as llm,
        serving_page(NotingEngine(), options(llm, token_stall_timeout_secs=TIMEOUT_SECS), **limits) as served,
        httpx.AsyncClient(base_url=served.url, timeout=TIMEOUT_SECS, limits=connections) as client,
    ):
        assert (await client.get("/health")).status_code == 200
        yield Target(served, llm, client)


def memory_bytes() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss


class Patience:
    """Of the server with callers that never connect: without end, or none at all, whatever the machine's speed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        patch.setattr("agent.server.calls.sessions.WATCH_SECS", 0.1)
        self.hold()

    def hold(self) -> None:
        self._patch.setattr(webrtc, "CONNECT_TIMEOUT_SECS", 1e9)

    def end(self) -> None:
        self._patch.setattr(webrtc, "CONNECT_TIMEOUT_SECS", 0.0)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Patience:
    return Patience(monkeypatch)


def n_conversations() -> int:
    """How many the process still knows of, ended ones included."""
    gc.collect()
    return sum(isinstance(one, Conversation) for one in gc.get_objects())


async def test_broken_offers_by_the_hundred_leave_nothing() -> None:
    no_sound = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n" + FINGERPRINT
    broken = [
        {"sdp": "garbage \0\xff", "type": "offer"},
        {"sdp": no_sound, "type": "offer"},
        {"sdp": "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" + FINGERPRINT, "type": "offer"},
        {"sdp": "v=0\r\nm=audio 9 X 0\r\n" + FINGERPRINT + "a=x\r\n" * 10_000, "type": "offer"},
        {"sdp": "v=0\r\n" * (MEGABYTE // 5), "type": "offer"},
        {"sdp": ["v=0"], "type": {"offer": 1}},
    ]
    async with target() as server:
        await server.client.post("/api/offer", json=broken[0])
        n_tasks, before_bytes = len(asyncio.all_tasks()), memory_bytes()
        for _ in range(5):
            answers = await asyncio.gather(*(server.client.post("/api/offer", json=body) for body in broken * 5))
            assert Counter(answer.status_code for answer in answers) == {400: 25, 413: 5}
            assert all(set(answer.json()) == {"error"} and len(answer.text) < 600 for answer in answers)
        await server.settle(n_tasks)
        assert memory_bytes() - before_bytes < MEMORY_BYTES


async def test_two_hundred_offers_at_once_take_no_more_places_than_there_are(patience: Patience) -> None:
    async with target(max_sessions=2) as server:
        n_tasks = len(asyncio.all_tasks())
        peer = Peer(server.served.url)
        body = {"sdp": await peer.offer(), "type": "offer"}
        await peer.pc.close()
        answers = await asyncio.gather(*(server.client.post("/api/offer", json=body) for _ in range(200)))
        assert Counter(answer.status_code for answer in answers) == {200: 2, 503: 198}
        refused = {answer.text for answer in answers if answer.status_code == 503}
        assert refused == {'{"error": "the agent is busy with 2 conversations; try again later"}'}
        # Nobody ever connects; the places are free again after a while.
        patience.end()
        await server.settle(n_tasks)
        patience.hold()
        again = await server.client.post("/api/offer", json=body)
        assert again.status_code == 200
        patience.end()
        await server.settle(n_tasks)


async def test_callers_that_never_connect_come_and_go_without_a_trace(patience: Patience) -> None:
    async with target(max_sessions=4) as server:
        peer = Peer(server.served.url)
        body = {"sdp": await peer.offer(), "type": "offer"}
        await peer.pc.close()
        n_tasks, n_before = len(asyncio.all_tasks()), n_conversations()
        sizes_bytes: list[int] = []
        for _ in range(4):
            answers = await asyncio.gather(*(server.client.post("/api/offer", json=body) for _ in range(4)))
            assert [answer.status_code for answer in answers] == [200] * 4
            patience.end()
            await server.settle(n_tasks)
            patience.hold()
            sizes_bytes.append(memory_bytes())
        # The first round loads what is loaded once; the others must not add up.
        assert sizes_bytes[-1] - sizes_bytes[0] < MEMORY_BYTES
        async with asyncio.timeout(TIMEOUT_SECS):
            while n_conversations() > n_before:
                await asyncio.sleep(0.1)


class Slow:
    """A client that sends a part of a request, and then nothing more."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def begin(cls, url: str, path: str) -> "Slow":
        address = urlsplit(url)
        slow = cls(*await asyncio.open_connection(address.hostname, address.port))
        head = f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 1000\r\n\r\n"
        slow._writer.write(head.encode() + b'{"text": "')
        await slow._writer.drain()
        return slow

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        async with asyncio.timeout(TIMEOUT_SECS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
            body = await self._reader.readexactly(length)
        self._writer.close()
        await self._writer.wait_closed()
        return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("path", ["/api/offer", "/api/chat"])
async def test_bodies_that_never_end_are_given_up_and_hold_nobody_up(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for the whole request of a patient caller on a busy machine.
    monkeypatch.setattr(json_body, "BODY_TIMEOUT_SECS", 5.0)
    async with target() as server:
        n_tasks = len(asyncio.all_tasks())
        slow = await asyncio.gather(*(Slow.begin(server.served.url, path) for _ in range(50)))
        assert (await server.client.get("/health")).json()["sessions"]["active"] == 0
        asked = await server.client.post("/api/chat", json={"text": "hi"})
        assert asked.text.endswith('event: done\ndata: {"text": "Okay."}\n\n')
        answers = await asyncio.gather(*(one.answer() for one in slow))
        assert answers == [(400, {"error": "the body did not arrive within 5 s"})] * 50
        await server.settle(n_tasks)


async def test_a_flood_of_questions_is_answered_a_few_at_a_time() -> None:
    async with target(max_chats=3) as server:
        n_tasks = len(asyncio.all_tasks())
        server.llm.otherwise = Reply("One", "two", stall_after=1)
        under_way = [asyncio.create_task(_chat(server.client)) for _ in range(3)]
        async with asyncio.timeout(TIMEOUT_SECS):
            while len(server.llm.requests) < 3:
                await asyncio.sleep(0.01)
        answers = await asyncio.gather(*(_chat(server.client) for _ in range(100)))
        assert Counter(answers) == {429: 100}
        assert len(server.served.state.histories) == 3
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await server.settle(n_tasks)
        assert len(server.llm.requests) == 3
        assert all(request.closed_by_client.is_set() for request in server.llm.requests)


async def test_conversations_without_end_are_forgotten_in_turn() -> None:
    async with target() as server:
        await _chat(server.client)
        n_tasks, before_bytes = len(asyncio.all_tasks()), memory_bytes()
        for _ in range(MAX_HISTORIES + 6):
            assert await _chat(server.client, "x" * 8000) == 200
        assert len(server.served.state.histories) == MAX_HISTORIES
        await server.settle(n_tasks)
        assert memory_bytes() - before_bytes < MEMORY_BYTES


async def _chat(client: httpx.AsyncClient, text: str = "hi") -> int:
    return (await client.post("/api/chat", json={"text": text})).status_code


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}])
async def test_other_sites_reach_nothing(headers: dict[str, str]) -> None:
    async with target() as server:
        n_tasks = len(asyncio.all_tasks())
        for method, path in (
            ("POST", "/api/offer"),
            ("PATCH", "/api/offer"),
            ("POST", "/api/chat"),
            ("POST", "/api/transcribe"),
            ("GET", "/health"),
            ("GET", "/"),
        ):
            refused = await server.client.request(method, path, headers=headers, content=b"x" * 100_000)
            assert refused.status_code == 403
            assert "access-control-allow-origin" not in refused.headers
        assert len(server.served.state.histories) == 0
        address = urlsplit(server.served.url)
        host = headers.get("Host", address.netloc).partition(":")[0]
        origin = {name: value for name, value in headers.items() if name == "Origin"}
        with pytest.raises(InvalidStatus) as caught:
            await connect(
                f"ws://{host}:{address.port}/api/ws",
                host="127.0.0.1",
                port=address.port,
                proxy=None,
                additional_headers=origin,
            )
        assert caught.value.response.status_code == 403
        await server.settle(n_tasks)
