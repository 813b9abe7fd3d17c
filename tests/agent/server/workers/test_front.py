"""What the front passes on, over real sockets: whole, to the right worker, and as one process would answer."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agent.own_names import home_of
from agent.server.workers.upstream import PIECE_BYTES
from tests.agent.server.workers.front_house import Fronted, fronted
from tests.support.served import listening

METHODS = ["GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"]


def named(number: int, of: int = 2) -> str:
    return next(name for name in (f"c{n}" for n in range(1000)) if home_of(name, of) == number)


class Worker:
    """What a worker of these tests serves: it tells its number, and what it was asked."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.n_asked = 0
        self.hung_up = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.app = Starlette(
            routes=[
                Route("/health", self.health),
                Route("/slow", self.slow),
                Route("/large", self.large),
                WebSocketRoute("/refused", self.refused),
                WebSocketRoute("/{path:path}", self.talk),
                Route("/{path:path}", self.told, methods=METHODS),
            ]
        )

    async def told(self, request: Request) -> Response:
        self.n_asked += 1
        body = await request.body()
        return JSONResponse(
            {
                "worker": self.number,
                "method": request.method,
                "path": request.url.path,
                "query": request.url.query,
                "body": body.decode("latin-1"),
                "headers": [[name.decode(), value.decode("latin-1")] for name, value in request.headers.raw],
                "client": request.scope["client"],
                "server": request.scope["server"],
                "scheme": request.scope["scheme"],
            },
            headers={"X-Worker": str(self.number)},
        )

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "ready", "engines": {}, "sessions": {"active": self.number, "max": 4}})

    async def slow(self, _: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                yield b"begun "
                await self.goes_on.wait()
                yield b"ended"
            finally:
                self.hung_up.set()

        return StreamingResponse(pieces())

    async def large(self, _: Request) -> Response:
        return PlainTextResponse(b"x" * (5 * PIECE_BYTES + 1))

    async def refused(self, socket: WebSocket) -> None:
        await socket.send_denial_response(PlainTextResponse("not you", 403))

    async def talk(self, socket: WebSocket) -> None:
        await socket.accept()
        while True:
            event = await socket.receive()
            if event["type"] == "websocket.disconnect":
                self.hung_up.set()
                return
            if event.get("text") == "close":
                await socket.close(4001, "as told")
                return
            said = event.get("text") or f"{len(event['bytes'])} bytes"
            await socket.send_json({"worker": self.number, "said": said, "client": list(socket.scope["client"])})


def workers(n: int = 2) -> list[Worker]:
    return [Worker(number) for number in range(n)]


async def asked(front: Fronted, method: str, path: str, **options: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=front.url, timeout=30) as web:
        answer = await web.request(method, path, **options)
    return answer.json()


async def raw(port: int, data: bytes, *, piece_bytes: int = 0) -> bytes:
    """What is answered to bytes until the server closes the connection, as they ask it to or make it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    pieces = [data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes)] if piece_bytes else [data]
    answer = b""
    with suppress(OSError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        while got := await reader.read(65536):
            answer += got
    writer.close()
    return answer


async def test_a_request_comes_through_as_it_was_asked() -> None:
    async with fronted([one.app for one in workers(1)]) as front:
        told = await asked(
            front,
            "POST",
            "/a%20b/c?x=1&y=%C3%A4",
            content=b"\0body\xff",
            headers={"X-Own": "1", "Expect": "100-continue"},
        )
    assert (told["method"], told["path"], told["query"], told["body"]) == (
        *("POST", "/a b/c", "x=1&y=%C3%A4"),
        "\0body\xff",
    )
    headers = dict(told["headers"])
    assert (headers["x-own"], headers["content-length"], headers["connection"]) == ("1", "6", "close")
    assert "expect" not in headers
    assert told["client"][0] == "127.0.0.1"
    assert (told["server"], told["scheme"]) == (["127.0.0.1", front.port], "http")


async def test_a_body_without_a_length_comes_through_whole() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"y" * 10_000

    async with fronted([one.app for one in workers(1)]) as front:
        told = await asked(front, "POST", "/x", content=pieces())
    assert told["body"] == "y" * 500_000


async def test_one_connection_asks_different_workers() -> None:
    served = workers()
    async with fronted([one.app for one in served]) as front, httpx.AsyncClient(base_url=front.url) as web:
        for number in (0, 1, 1, 0):
            body = {"text": "hi", "conversation": named(number)}
            assert (await web.post("/api/chat", json=body)).json()["worker"] == number
            path = f"/api/conversations/{named(number)}/recording.wav"
            assert (await web.get(path)).headers["x-worker"] == str(number)
        assert len(front.server.places) == 1


async def test_a_candidate_follows_its_offer() -> None:
    async with fronted([one.app for one in workers()]) as front:
        for number in (1, 0):
            body = {"pc_id": named(number), "candidates": []}
            assert (await asked(front, "PATCH", "/api/offer", json=body))["worker"] == number


async def test_what_the_front_reads_reaches_the_worker_to_the_byte() -> None:
    async with fronted([one.app for one in workers()]) as front:
        for body in (b'{"conversation": "c"  }\n', b"no json", b"[" * 5000, b"\xff", b"x" * 300_000):
            assert (await asked(front, "POST", "/api/chat", content=body))["body"].encode("latin-1") == body


async def test_an_answer_comes_as_it_is_made_and_ends_where_the_caller_hangs_up() -> None:
    [worker] = workers(1)
    async with fronted([worker.app]) as front, httpx.AsyncClient(base_url=front.url, timeout=30) as web:
        async with web.stream("GET", "/slow") as answer:
            assert await anext(answer.aiter_bytes()) == b"begun "
        await asyncio.wait_for(worker.hung_up.wait(), 30)
        assert len((await web.get("/large")).content) == 5 * PIECE_BYTES + 1
        head = await web.head("/large")
        assert (head.content, head.headers["content-length"]) == (b"", str(5 * PIECE_BYTES + 1))


async def test_a_worker_that_ends_breaks_off_its_own_answers_and_no_others() -> None:
    served = workers()
    async with fronted([one.app for one in served]) as front, httpx.AsyncClient(base_url=front.url, timeout=30) as web:
        async with web.stream("GET", "/slow") as one, web.stream("GET", "/slow") as other:
            streams = [one.aiter_bytes(), other.aiter_bytes()]
            assert [await anext(stream) for stream in streams] == [b"begun ", b"begun "]
            await front.kill(0)
            served[1].goes_on.set()
            results = await asyncio.gather(*map(anext, streams), return_exceptions=True)
        assert [type(one) for one in results if one != b"ended"] == [httpx.RemoteProtocolError]
        # What it had is gone; who asks for that goes on with another.
        body = {"text": "hi", "conversation": named(0)}
        assert (await web.post("/api/chat", json=body)).json()["worker"] == 1


async def test_nobody_is_there_to_answer() -> None:
    async with fronted([one.app for one in workers(1)]) as front:
        await front.kill(0)
        async with httpx.AsyncClient(base_url=front.url) as web:
            page, api, live, ready = [
                await web.get(path) for path in ("/api/options", "/v1/models", "/health/live", "/health/ready")
            ]
        with pytest.raises(InvalidStatus, match="503"):
            await connect(f"ws://127.0.0.1:{front.port}/api/ws")
    assert (page.status_code, page.json()["error"].split(";")[0]) == (503, "the agent is still loading its models")
    assert (api.status_code, api.json()["error"]["type"], api.headers["retry-after"]) == (503, "server_error", "1")
    assert (live.status_code, live.json()) == (200, {"status": "starting"})
    assert (ready.status_code, ready.json()) == (503, {"status": "starting"})


async def test_health_is_one_answer_of_all() -> None:
    async with fronted([one.app for one in workers(3)]) as front:
        told = await asked(front, "GET", "/health")
    assert told["sessions"] == {"active": 3, "max": 4}
    assert told["workers"] == {"ready": 3, "of": 3}


async def test_a_websocket_joins_the_conversation_that_it_names() -> None:
    served = workers()
    async with fronted([one.app for one in served]) as front:
        for number in (0, 1, 1, 0, 0):
            async with connect(f"ws://127.0.0.1:{front.port}/api/ws") as line:
                join = json.dumps({"type": "join", "conversation": named(number), "page": f"p{number}"})
                await line.send(join)
                answer = json.loads(await line.recv())
                assert (answer["worker"], answer["said"]) == (number, join)
                assert answer["client"] == list(line.local_address)
                await line.send(b"\0" * 640)
                assert json.loads(await line.recv())["said"] == "640 bytes"
        assert (await asked(front, "POST", "/api/pictures", headers={"X-Sotto-Page": "p1"}))["worker"] == 1


async def test_new_calls_by_websocket_are_spread() -> None:
    async with fronted([one.app for one in workers()]) as front:
        found = []
        for _ in range(4):
            async with connect(f"ws://127.0.0.1:{front.port}/api/ws") as line:
                await line.send('{"type": "join"}')
                found.append(json.loads(await line.recv())["worker"])
    assert sorted(found) == [0, 0, 1, 1]


async def test_much_comes_through_in_both_directions_and_in_order() -> None:
    sent = [f"{n} " + "z" * 50_000 for n in range(100)]
    async with (
        fronted([one.app for one in workers(1)]) as front,
        connect(f"ws://127.0.0.1:{front.port}/x", compression=None, max_size=None) as line,
    ):
        sending = asyncio.create_task(asyncio.wait_for(_send_all(line, sent), 60))
        heard = [json.loads(await asyncio.wait_for(line.recv(), 60))["said"] for _ in sent]
        await sending
    assert heard == sent


async def _send_all(line: Any, sent: list[str]) -> None:
    for text in sent:
        await line.send(text)


async def test_a_websocket_ends_on_both_sides_whoever_ends_it() -> None:
    [worker] = workers(1)
    async with fronted([worker.app]) as front:
        async with connect(f"ws://127.0.0.1:{front.port}/x") as line:
            await line.send("close")
            with pytest.raises(ConnectionClosed) as closed:
                await line.recv()
        assert (closed.value.rcvd and closed.value.rcvd.code, closed.value.rcvd and closed.value.rcvd.reason) == (
            4001,
            "as told",
        )
        async with connect(f"ws://127.0.0.1:{front.port}/x") as line:
            await line.send("hi")
            await line.recv()
        await asyncio.wait_for(worker.hung_up.wait(), 30)
        with pytest.raises(InvalidStatus, match="403"):
            await connect(f"ws://127.0.0.1:{front.port}/refused")
        async with connect(f"ws://127.0.0.1:{front.port}/x") as line:
            await line.send("hi")
            await line.recv()
            await front.kill(0)
            with pytest.raises(ConnectionClosed):
                await line.recv()
        async with asyncio.timeout(30):
            while len(front.server.places):
                await asyncio.sleep(0.01)


FORGED = {
    "X-Sotto-Client": "9.9.9.9",
    "X-Real-IP": "9.9.9.9",
    "Forwarded": "for=9.9.9.9;proto=https",
}


async def test_no_header_makes_a_caller_another() -> None:
    async with fronted([one.app for one in workers(1)]) as front:
        told = await asked(front, "GET", "/x", headers=FORGED)
        # What a client writes before its request, as proxies do, is no request.
        forged = await raw(front.port, b"PROXY TCP4 9.9.9.9 1.1.1.1 1 2\r\n" + INNER)
        origin = await raw(front.port, b'[["9.9.9.9", 1], ["1.1.1.1", 2], "https"]' + INNER)
        async with connect(f"ws://127.0.0.1:{front.port}/x", additional_headers=FORGED) as line:
            await line.send("hi")
            assert json.loads(await line.recv())["client"][0] == "127.0.0.1"
    assert (told["client"][0], told["scheme"]) == ("127.0.0.1", "http")
    assert forged.startswith(b"HTTP/1.1 400 ")
    assert origin.startswith(b"HTTP/1.1 400 ")


HEAD = b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\n"
INNER = b"GET /inner HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
UPGRADE = b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close, upgrade\r\n"
HOSTILE = {
    "a head too long": HEAD + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
    "no head": b"\0\xff\0\xff\r\n\r\n",
    "no host": b"GET /x HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length that is none": POST + b"Content-Length: +1\r\n\r\na",
    "chunks of another kind": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a chunk that is none": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a folded line": HEAD + b"X: a\r\n b\r\n\r\n",
    "a space before the colon": HEAD + b"X : a\r\n\r\n",
    "no version": b"GET /x\r\n\r\n",
    "an odd version": b"GET /x HTTP/3.7\r\nHost: a\r\n\r\n",
    "an unknown upgrade": UPGRADE + b"Upgrade: h2c\r\nContent-Length: 0\r\n\r\n",
    "half a WebSocket": UPGRADE + b"Upgrade: websocket\r\n\r\n",
    "an old version": b"GET /x HTTP/1.0\r\n\r\n",
}


def shape(answer: bytes) -> list[bytes]:
    """Status lines of all answers; what else stands there differs from worker to worker."""
    return re.findall(rb"HTTP/1\.1 \d\d\d [^\r]*", answer)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("piece_bytes", [0, 777], ids=["whole", "in pieces"])
async def test_a_hostile_head_is_answered_as_by_one_process(name: str, piece_bytes: int) -> None:
    [alone], [behind] = workers(1), workers(1)
    async with listening(None, alone.app) as url, fronted([behind.app]) as front:  # pyright: ignore[reportArgumentType]
        port = int(url.rpartition(":")[2])
        expected = shape(await raw(port, HOSTILE[name], piece_bytes=piece_bytes))
        assert shape(await raw(front.port, HOSTILE[name], piece_bytes=piece_bytes)) == expected
        assert (await asked(front, "GET", "/still"))["worker"] == 0
    assert behind.n_asked - 1 == alone.n_asked


@pytest.mark.parametrize("sent", [HEAD, POST + b"Content-Length: 10\r\n\r\nabc"], ids=["head", "body"])
async def test_half_a_request_leaves_nothing_behind(sent: bytes) -> None:
    [worker] = workers(1)
    async with fronted([worker.app]) as front:
        _, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(sent)
        await writer.drain()
        writer.close()
        assert (await asked(front, "GET", "/still"))["worker"] == 0
        async with asyncio.timeout(30):
            while len(front.server.places) or front.servers[0].server_state.connections:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"Content-Length: 0\r\n\r\n", b"\r\n"],
    ids=["length and chunks", "no body", "none told"],
)
async def test_what_stands_behind_a_body_is_a_request_of_the_clients_own_and_never_hidden(framing: bytes) -> None:
    [worker] = workers(1)
    head = POST + (framing % (5 + len(INNER)) if b"%d" in framing else framing)
    async with fronted([worker.app]) as front:
        answer = await raw(front.port, head + INNER)
    assert len(shape(answer)) == worker.n_asked
    assert answer.count(b'"path":"/inner"') <= 1
    assert answer.count(b'"path":"/x"') + answer.count(b"HTTP/1.1 400") >= 1


def test_the_front_is_small_it_loads_no_engine_and_no_pipeline() -> None:
    script = (
        "import sys, agent.server.workers.front\n"
        "print([one for one in ('pipecat', 'aiortc', 'av', 'onnxruntime', 'fastapi') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
