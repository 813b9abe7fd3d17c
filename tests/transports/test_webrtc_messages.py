"""A WebRTC peer's data channel: what passes, what is left alone, and when a peer is let go of."""

import asyncio
from collections import deque
from types import SimpleNamespace
from typing import Any, cast

from pyee.asyncio import AsyncIOEventEmitter

from tests.support.virtual_time import in_virtual_time
from transports.webrtc_messages import NOT_READ_SECS, PeerMessages
from transports.websocket_line import MAX_TEXT_CHARS, MESSAGE_BURST


class Edge:
    """aiortc's end of a peer: a channel on which Pipecat listens already."""

    def __init__(self) -> None:
        self.sctp = SimpleNamespace(_last_sacked_tsn=1, _sent_queue=deque[int]())
        self.channel, self.passed = AsyncIOEventEmitter(), list[Any]()
        pc = AsyncIOEventEmitter()
        pc.sctp = self.sctp  # type: ignore[attr-defined]
        self.channel.on("message", self.passed.append)
        self.messages = PeerMessages(cast(Any, SimpleNamespace(pc=pc)))
        pc.emit("datachannel", self.channel)


@in_virtual_time
async def test_what_is_no_message_of_the_page_does_not_pass() -> None:
    edge = Edge()
    for junk in ("", "no JSON", "[1]", '{"type": 1}', b"ping", "[" * 60_000, '"' + "x" * MAX_TEXT_CHARS + '"'):
        edge.channel.emit("message", junk)
    edge.channel.emit("message", "ping: 1")
    edge.channel.emit("message", '{"type": "interrupt"}')
    assert edge.passed == ["ping: 1", '{"type": "interrupt"}']
    assert edge.messages.trouble() is None


@in_virtual_time
async def test_a_peer_that_floods_with_messages_is_let_go_of_and_none_passes_any_more() -> None:
    edge = Edge()
    for _ in range(int(MESSAGE_BURST) + 500):
        edge.channel.emit("message", "ping: 1")
    assert len(edge.passed) == MESSAGE_BURST
    assert edge.messages.trouble() == "sends too many messages: 20 a second are taken"


@in_virtual_time
async def test_a_peer_that_acknowledges_nothing_is_let_go_of_and_one_that_is_slow_is_not() -> None:
    edge = Edge()
    edge.sctp._sent_queue.append(2)
    for second in range(60):
        # It takes something in every ten seconds, and there is always more.
        edge.sctp._last_sacked_tsn = second // 10
        assert edge.messages.trouble() is None
        await asyncio.sleep(1)
    waited_secs = 0
    while edge.messages.trouble() is None:
        await asyncio.sleep(1)
        waited_secs += 1
    assert edge.messages.trouble() == "does not read what it is sent"
    # Ten of the seconds above have passed already.
    assert waited_secs <= NOT_READ_SECS - 10 + 2
