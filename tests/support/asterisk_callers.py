"""Asterisk for tests: a scripted client at the edge that calls by AudioSocket, from its published shapes."""

import asyncio
import struct
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import numpy as np

from tests.support.telephone_callers import FRAME_SAMPLES, FRAME_SECS, WAIT_SECS
from transports.recording import Pcm16

FRAME_BYTES = FRAME_SAMPLES * 2


def packet(kind: int, payload: bytes = b"") -> bytes:
    """One packet."""
    return struct.pack(">BH", kind, len(payload)) + payload


class AudioSocketCaller:
    """One call; use `audio_socket_call`.

    Attributes:
        heard: The agent's sound, as s16 bytes; 8 kHz.
        arrivals: When each packet of it came.
        kinds: The types of all packets that came.
        ended: Whether the server has closed the connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard = bytearray()
        self.arrivals: list[float] = []
        self.kinds: list[int] = []
        self.ended = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._to_say = bytearray()
        self._tasks = [asyncio.create_task(self._listen())]

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def begin(self, shown: uuid.UUID) -> None:
        """Show the UUID, and send the caller's sound from now on."""
        await self.send(packet(0x01, shown.bytes))
        self._tasks.append(asyncio.create_task(self._speak()))

    def say(self, audio_s16: Pcm16) -> None:
        """Say it after what is being said; 8 kHz."""
        self._to_say += audio_s16.astype("<i2").tobytes()

    async def until_closed(self) -> list[int]:
        """Wait until the server has closed the connection; the types of all packets that came."""
        async with asyncio.timeout(WAIT_SECS):
            await self.ended.wait()
        return self.kinds

    @property
    def heard_s16(self) -> Pcm16:
        """All sound that came; 8 kHz."""
        return np.frombuffer(bytes(self.heard), "<i2")

    async def leave(self) -> None:
        """Close the connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _speak(self) -> None:
        due_secs = time.monotonic()
        while not self.ended.is_set():
            pcm16 = bytes(self._to_say[:FRAME_BYTES]).ljust(FRAME_BYTES, b"\0")
            del self._to_say[:FRAME_BYTES]
            await self.send(packet(0x10, pcm16))
            due_secs += FRAME_SECS
            await asyncio.sleep(max(0.0, due_secs - time.monotonic()))

    async def _listen(self) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, length = struct.unpack(">BH", await self._reader.readexactly(3))
                payload = await self._reader.readexactly(length)
                self.kinds.append(kind)
                if kind == 0x10:
                    self.heard += payload
                    self.arrivals.append(time.monotonic())
        self.ended.set()


@asynccontextmanager
async def audio_socket_call(port: int) -> AsyncIterator[AudioSocketCaller]:
    """Asterisk with a connection, on which nothing has begun yet."""
    caller = AudioSocketCaller(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield caller
    finally:
        await caller.leave()
