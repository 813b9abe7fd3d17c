"""A WebRTC data channel that behaves as a WebSocket with text messages: what speaks over the one speaks over the other.

In:  the messages of a peer's first channel.   Out: text messages; none before the peer has opened its channel.
"""

import asyncio
from collections import deque
from contextlib import suppress

from aiortc import RTCDataChannel, RTCPeerConnection
from aiortc.exceptions import InvalidStateError
from starlette.types import Message as SocketEvent
from starlette.websockets import WebSocketDisconnect

from transports.websocket_line import GOING_AWAY, NORMAL

# What may wait to be sent, beside what is under way; a peer that leaves more unread makes whoever sends wait.
MAX_BUFFERED_BYTES = 256 * 1024
# What a peer may have sent that nobody has read yet; aiortc tells a peer that all of it has come.
MAX_UNREAD_BYTES = 8 * 2**20
MAX_UNREAD = 20_000
# For how long a peer may take to answer that the channel closes; it is cut off then.
CLOSE_SECS = 2.0


class ChannelSocket:
    """That of one peer; made on the event loop."""

    def __init__(self) -> None:
        self._channel: RTCDataChannel | None = None
        self._opening: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._events: deque[SocketEvent] = deque()
        self._n_unread_bytes = 0
        self._changed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._is_closed = False
        self._closing = asyncio.Event()
        self._trouble: str | None = None

    def attach(self, pc: RTCPeerConnection) -> None:
        """Take the channel that the peer opens; other listeners hear nothing of what it says.

        Args:
            pc: The peer's, whose channel has not opened yet.
        """
        pc.on("datachannel", self._take)

    async def opened(self) -> bool:
        """Wait until the peer has opened its channel; False if it is gone before."""
        return await asyncio.shield(self._opening)

    def trouble(self) -> str | None:
        """Why the peer has to be let go of; None while it need not."""
        return self._trouble

    def give_up(self) -> None:
        """Do not wait for the peer to open its channel."""
        if not self._opening.done():
            self._opening.set_result(False)

    def lose(self) -> None:
        """The peer is gone."""
        self._closing.set()
        if self._is_closed:
            return
        self._is_closed = True
        self.give_up()
        self._put({"type": "websocket.disconnect", "code": GOING_AWAY})
        self._has_room.set()

    async def receive(self) -> SocketEvent:
        """See `Socket`."""
        while not self._events:
            self._changed.clear()
            await self._changed.wait()
        event = self._events.popleft()
        self._n_unread_bytes -= len(event.get("text") or "")
        return event

    async def send_text(self, data: str) -> None:
        """See `Socket`."""
        while (channel := self._open_channel()).bufferedAmount > MAX_BUFFERED_BYTES:
            self._has_room.clear()
            await self._has_room.wait()
        try:
            channel.send(data)
        except InvalidStateError as error:
            raise WebSocketDisconnect(GOING_AWAY) from error

    async def send_bytes(self, data: bytes) -> None:
        """Nothing but text goes over the channel.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"{len(data)} bytes cannot be sent: the channel carries text")

    async def close(self, code: int = NORMAL, reason: str | None = None) -> None:
        """Close the channel; it has no room for a code and a reason.

        Waits a moment for the peer's consent: a connection that ends before it loses what was said last, and a browser
        tells its page of an error of the channel.
        """
        channel, self._is_closed = self._channel, True
        self.give_up()
        if channel is not None and channel.readyState == "open":
            channel.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECS):
                    await self._closing.wait()

    def _open_channel(self) -> RTCDataChannel:
        if self._is_closed or self._channel is None or self._channel.readyState != "open":
            raise WebSocketDisconnect(GOING_AWAY)
        return self._channel

    def _take(self, channel: RTCDataChannel) -> None:
        # Pipecat would write what it cannot read into the log, and act on signalling of its own.
        channel.remove_all_listeners("message")
        if self._channel is not None or self._is_closed:
            return
        self._channel = channel
        channel.bufferedAmountLowThreshold = MAX_BUFFERED_BYTES // 2
        channel.on("message", self._hear)
        channel.on("bufferedamountlow", self._has_room.set)
        channel.on("close", self.lose)
        if not self._opening.done():
            self._opening.set_result(True)

    def _hear(self, message: str | bytes) -> None:
        if self._trouble:
            return
        if self._n_unread_bytes > MAX_UNREAD_BYTES or len(self._events) > MAX_UNREAD:
            self._trouble = "sends more than can be read"
            return
        self._put({"type": "websocket.receive", "text": message if isinstance(message, str) else None})

    def _put(self, event: SocketEvent) -> None:
        self._events.append(event)
        self._n_unread_bytes += len(event.get("text") or "")
        self._changed.set()
