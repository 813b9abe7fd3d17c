"""Asterisk's AudioSocket: a TCP connection for each call, s16le mono at 8 kHz in packets of a type and a length.

In:  packets.   Out: what they say, and a connection that behaves as a WebSocket, a packet a message.

There is nothing that Asterisk could be told to drop, so that little is sent ahead of its time.
Source: docs.asterisk.org, "AudioSocket" (channel drivers).
"""

import asyncio
import struct
import uuid
from contextlib import suppress

from starlette.types import Message as SocketEvent
from starlette.websockets import WebSocketDisconnect

from transports.telephone_protocol import KEYS, ProtocolError, Said, Start, TelephoneProtocol
from transports.websocket_line import BYTES_PER_SAMPLE, GOING_AWAY, UNSUPPORTED_DATA

HANG_UP, ID, KEY, SOUND, ERROR = 0x00, 0x01, 0x03, 0x10, 0xFF
HEADER = struct.Struct(">BH")
HUNG_UP = "the caller hung up"
CLOSE_SECS = 1.0


class AudioSocketConnection:
    """One connection, with the methods of a WebSocket.

    Args:
        reader: Of the connection.
        writer: Of the connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def receive(self) -> SocketEvent:
        """The next packet, whole, or that the far side is gone."""
        try:
            header = await self._reader.readexactly(HEADER.size)
            payload = await self._reader.readexactly(HEADER.unpack(header)[1])
        except (asyncio.IncompleteReadError, OSError):
            return {"type": "websocket.disconnect", "code": GOING_AWAY}
        return {"type": "websocket.receive", "bytes": header + payload}

    async def send_bytes(self, data: bytes) -> None:
        """Send a packet."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            raise WebSocketDisconnect(GOING_AWAY) from None

    async def send_text(self, data: str) -> None:
        """There is no text."""
        raise NotImplementedError

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection; it has no room for a reason. Who does not take in what is left is cut off."""
        self._writer.close()
        try:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECS):
                    await self._writer.wait_closed()
        finally:
            self._writer.transport.abort()


class AudioSocketStream(TelephoneProtocol):
    """One call, begun."""

    lead_secs = 0.02

    async def read(self, message: str | bytes) -> Said:
        """See `TelephoneProtocol`."""
        kind, payload = _parts(message)
        if kind == HANG_UP:
            return Said(over=HUNG_UP)
        if kind == ERROR:
            return Said(over=f"Asterisk reports the error {payload[:8].hex() or 'without a number'}")
        if kind == KEY:
            key = payload.decode("latin-1")
            return Said(key=key) if key in KEYS else Said()
        if kind == ID:
            return Said()
        if kind != SOUND:
            raise ProtocolError(f"a packet of type {kind:#04x}: sound must be 8 kHz ({SOUND:#04x})", UNSUPPORTED_DATA)
        if not payload or len(payload) % BYTES_PER_SAMPLE:
            raise ProtocolError(f"sound of {len(payload)} bytes is no whole number of 16-bit samples")
        return Said(sound=payload)

    async def sound(self, pcm16: bytes) -> bytes:
        """See `TelephoneProtocol`."""
        return packet(SOUND, pcm16)

    def hang_up(self) -> bytes:
        """See `TelephoneProtocol`."""
        return packet(HANG_UP)


def packet(kind: int, payload: bytes = b"") -> bytes:
    """A packet.

    Args:
        kind: Its type.
        payload: At most 65 535 bytes.
    """
    return HEADER.pack(kind, len(payload)) + payload


def audio_socket_stream(message: str | bytes) -> AudioSocketStream:
    """A call, by its first packet.

    Args:
        message: It must hold the call's UUID.

    Raises:
        ProtocolError: It does not.
    """
    kind, payload = _parts(message)
    if kind != ID or len(payload) != len(uuid.NAMESPACE_DNS.bytes):
        raise ProtocolError(f"the first packet must hold a UUID ({ID:#04x})")
    return AudioSocketStream(Start(str(uuid.UUID(bytes=payload))))


def _parts(message: str | bytes) -> tuple[int, bytes]:
    if isinstance(message, str) or len(message) < HEADER.size:
        raise ProtocolError("a packet must have a type and a length")
    return message[0], message[HEADER.size :]
