"""A WebSocket's line: what a client that reads may be sent at once, and when one counts as not reading."""

import asyncio
import json
from collections import deque
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.websockets import WebSocket

from tests.support.virtual_time import in_virtual_time
from transports.websocket_line import MAX_WAITING_BYTES, SEND_TIMEOUT_SECS, WebSocketLine

GREETING = {"type": "joined"}


class Client:
    """The edge: an ASGI connection whose client takes each message in after so many seconds."""

    def __init__(self, secs_each: float = 0.0, said: list[dict[str, Any]] | None = None) -> None:
        self.secs_each = secs_each
        self.got: list[str | bytes] = []
        self.closed: dict[str, Any] = {}
        self._said: deque[dict[str, Any]] = deque([{"type": "websocket.connect"}, *(said or [])])
        self.left = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self._said:
            return self._said.popleft()
        if not self.left.is_set():
            # The page pings.
            await asyncio.sleep(1)
            return {"type": "websocket.receive", "text": "ping"}
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            await asyncio.sleep(self.secs_each)
            self.got.append(message.get("text") or message["bytes"])
        elif message["type"] == "websocket.close":
            self.closed = message


async def line_of(client: Client, heard: list[Any] | None = None) -> WebSocketLine:
    socket = WebSocket({"type": "websocket"}, client.receive, client.send)
    await socket.accept()
    taken: list[Any] = [] if heard is None else heard

    async def take(what: Any) -> None:
        taken.append(what)

    return WebSocketLine(socket, take, take)


@in_virtual_time
async def test_thousands_of_messages_at_once_reach_a_client_that_reads() -> None:
    client = Client(secs_each=0.0001)
    line = await line_of(client)
    told = [{"type": "event", "n": n} for n in range(5000)]
    for message in told[:100]:
        line.send(message)
    running = asyncio.create_task(line.run(GREETING))
    await asyncio.sleep(0.01)
    for message in told[100:]:
        line.send(message)
    await asyncio.sleep(2)
    assert not running.done()
    assert [json.loads(text) for text in client.got] == [GREETING, *told]
    client.left.set()
    assert (await running).by_client


@pytest.mark.parametrize("secs_each", [SEND_TIMEOUT_SECS + 1, 0.5])
def test_a_client_is_cut_that_lets_messages_wait_for_seconds(secs_each: float) -> None:
    @in_virtual_time
    async def scenario() -> None:
        client = Client(secs_each)
        line = await line_of(client)
        running = asyncio.create_task(line.run(GREETING))
        for n in range(600):
            line.send({"type": "event", "n": n})
            await asyncio.sleep(0.02)
        ending = await running
        assert (ending.code, ending.reason) == (1008, "the client does not read what it is sent")
        assert client.closed["code"] == 1008

    scenario()


@in_virtual_time
async def test_what_waits_is_bounded_in_bytes() -> None:
    client = Client(secs_each=1.0)
    line = await line_of(client)
    running = asyncio.create_task(line.run(GREETING))
    await asyncio.sleep(0.1)
    n_taken = sum(line.send_sound(bytes(64 * 1024)) for _ in range(1000))
    assert n_taken == MAX_WAITING_BYTES // (64 * 1024)
    line.clear()
    assert (await running).code == 1008


PIECES = st.one_of(
    st.binary(max_size=7000).map(lambda data: {"type": "websocket.receive", "bytes": data}),
    st.text(max_size=30).map(lambda text: {"type": "websocket.receive", "text": text}),
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)).map(
        lambda value: {"type": "websocket.receive", "text": json.dumps({"type": "text", "text": value})}
    ),
)


def check_messages(said: list[dict[str, Any]]) -> None:
    @in_virtual_time
    async def scenario() -> None:
        heard: list[Any] = []
        client = Client(said=said)
        client.left.set()
        line = await line_of(client, heard)
        ending = await line.run(GREETING)
        assert ending.code in (1000, 1003, 1007, 1008, 1009)
        assert all(isinstance(one, bytes) or isinstance(one.get("type"), str) for one in heard)

    scenario()


@given(st.lists(PIECES, max_size=8))
@example([{"type": "websocket.receive", "text": "[" * 5000}])
@example([{"type": "websocket.receive", "text": '{"type": NaN}'}])
def test_whatever_a_client_sends_the_line_ends_with_a_reason(said: list[dict[str, Any]]) -> None:
    check_messages(said)


@pytest.mark.long
@settings(max_examples=3000)
@given(st.lists(PIECES, max_size=30))
def test_whatever_a_client_sends_at_length_the_line_ends_with_a_reason(said: list[dict[str, Any]]) -> None:
    check_messages(said)
