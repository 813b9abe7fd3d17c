"""A data channel as a WebSocket: what is sent waits for room, what comes is bounded, and its end is an end.

The channel is scripted: it is the edge.
"""

import asyncio
import time
from typing import Any

import pytest
from pyee.asyncio import AsyncIOEventEmitter
from starlette.websockets import WebSocketDisconnect

from tests.support.virtual_time import in_virtual_time
from transports.channel_socket import CLOSE_SECS, MAX_BUFFERED_BYTES, MAX_UNREAD, MAX_UNREAD_BYTES, ChannelSocket


class ScriptedChannel(AsyncIOEventEmitter):
    """Keeps what it is told to send."""

    def __init__(self) -> None:
        super().__init__()
        self.readyState = "open"
        self.bufferedAmount = 0
        self.sent: list[str] = []

    def send(self, data: str) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.readyState = "closed"
        self.emit("close")


def opened() -> tuple[ChannelSocket, ScriptedChannel]:
    """A socket whose peer has opened its channel."""
    pc: Any = AsyncIOEventEmitter()
    socket, channel = ChannelSocket(), ScriptedChannel()
    socket.attach(pc)
    pc.emit("datachannel", channel)
    return socket, channel


async def test_messages_come_in_their_order_and_the_end_behind_them() -> None:
    socket, channel = opened()
    assert await socket.opened()
    channel.emit("message", "one")
    channel.emit("message", b"two")
    channel.close()
    assert [await socket.receive() for _ in range(3)] == [
        {"type": "websocket.receive", "text": "one"},
        {"type": "websocket.receive", "text": None},
        {"type": "websocket.disconnect", "code": 1001},
    ]
    with pytest.raises(WebSocketDisconnect):
        await socket.send_text("late")
    assert channel.sent == []


async def test_what_is_sent_waits_while_the_peer_has_not_taken_what_came_before() -> None:
    socket, channel = opened()
    channel.bufferedAmount = MAX_BUFFERED_BYTES + 1
    sending = asyncio.create_task(socket.send_text("now"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert channel.sent == []
    channel.bufferedAmount = 0
    channel.emit("bufferedamountlow")
    await sending
    assert channel.sent == ["now"]


async def test_what_waits_to_be_sent_ends_with_the_channel() -> None:
    socket, channel = opened()
    channel.bufferedAmount = MAX_BUFFERED_BYTES + 1
    sending = asyncio.create_task(socket.send_text("never"))
    await asyncio.sleep(0)
    channel.close()
    with pytest.raises(WebSocketDisconnect):
        await sending


@pytest.mark.parametrize(("message", "n_kept"), [("", MAX_UNREAD + 1), ("x" * 2**20, MAX_UNREAD_BYTES // 2**20 + 1)])
async def test_a_peer_that_sends_more_than_is_read_is_to_be_let_go_of(message: str, n_kept: int) -> None:
    socket, channel = opened()
    for _ in range(n_kept):
        channel.emit("message", message)
    assert socket.trouble() is None
    channel.emit("message", message)
    assert socket.trouble() == "sends more than can be read"
    channel.emit("message", "later")
    texts = [(await socket.receive())["text"] for _ in range(n_kept)]
    assert texts == [message] * n_kept


async def test_a_second_channel_is_not_listened_to() -> None:
    pc: Any = AsyncIOEventEmitter()
    socket, first, second = ChannelSocket(), ScriptedChannel(), ScriptedChannel()
    heard: list[str] = []
    second.on("message", heard.append)
    socket.attach(pc)
    pc.emit("datachannel", first)
    pc.emit("datachannel", second)
    second.emit("message", "second")
    first.emit("message", "first")
    assert (await socket.receive())["text"] == "first"
    assert heard == []


async def test_a_peer_that_is_given_up_never_opens() -> None:
    socket = ChannelSocket()
    socket.give_up()
    assert not await socket.opened()


async def test_it_is_closed_once_the_peer_agrees() -> None:
    socket, channel = opened()
    channel.close = lambda: setattr(channel, "readyState", "closing")
    closing = asyncio.create_task(socket.close())
    for _ in range(5):
        await asyncio.sleep(0)
    assert channel.readyState == "closing"
    assert not closing.done()
    channel.emit("close")
    await closing


@pytest.mark.parametrize("how", ["says nothing", "is gone"])
@in_virtual_time
async def test_a_peer_that_never_agrees_is_waited_for_no_longer_than_a_moment(how: str) -> None:
    socket, channel = opened()
    channel.close = lambda: None
    if how == "is gone":
        socket.lose()
    began_secs = time.monotonic()
    await socket.close()
    assert time.monotonic() - began_secs == pytest.approx(CLOSE_SECS if how == "says nothing" else 0.0, abs=0.01)
