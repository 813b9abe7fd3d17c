"""A caller over a WebSocket for tests, and the real route on a real HTTP server for it to call.

The caller is a scripted client at the edge: it sends 20 ms of sound every 20 ms and keeps what it is sent. It plays the
agent's sound as a page does, one second a second, so that a test knows what was heard and what `clear` emptied out.
"""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from agent.server.calls.sessions import LiveSessions
from agent.server.calls.websocket import PATH, UVICORN_OPTIONS, websocket_router
from agent.server.http_server import HttpServer
from transports.recording import Pcm16

IN_RATE_HZ = 16_000
OUT_RATE_HZ = 24_000
FRAME_SECS = 0.02
FRAME_BYTES = int(IN_RATE_HZ * FRAME_SECS) * 2
WAIT_SECS = 60


@asynccontextmanager
async def serving_sessions(sessions: LiveSessions) -> AsyncIterator[str]:
    """Serve the route within this process; its address."""
    app = FastAPI()
    app.include_router(websocket_router(lambda: sessions))
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, lifespan="off", **UVICORN_OPTIONS)
    server = HttpServer(config)
    task = asyncio.create_task(server.serve([bound]))
    try:
        yield f"ws://127.0.0.1:{bound.getsockname()[1]}{PATH}"
    finally:
        server.should_exit = True
        await task
        bound.close()


class Caller:
    """One client; use `calling`.

    Attributes:
        messages: Text messages, as they came.
        events: Of those, the lines of the event log.
        arrivals: Of each sound message: when it came, and its length in seconds.
        heard: All sound that came, as s16 bytes.
        cuts: How many samples of it had come at each `clear`.
        dropped_secs: How much of it waited to be played then.
        close_code: Why the server closed the line, once it has.
        close_reason: The same in words.
    """

    def __init__(self, line: ClientConnection) -> None:
        self.line = line
        self.messages: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.arrivals: list[tuple[float, float]] = []
        self.heard = bytearray()
        self.cuts: list[int] = []
        self.dropped_secs: list[float] = []
        self.close_code: int | None = None
        self.close_reason = ""
        self.ended = asyncio.Event()
        self._changed = asyncio.Event()
        self._to_say = bytearray()
        self._played_until_secs = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self, **wishes: Any) -> dict[str, Any]:
        """Ask to join; the server's answer."""
        self._tasks.append(asyncio.create_task(self._listen()))
        await self.line.send(json.dumps({"type": "join", "sample_rate_hz": IN_RATE_HZ, **wishes}))
        await self.until(lambda: self.messages)
        return self.messages[0]

    def begin_to_speak(self) -> None:
        """Send the microphone's sound from now on, silence while there is nothing to say."""
        self._tasks.append(asyncio.create_task(self._speak()))

    def say(self, audio_s16: Pcm16) -> None:
        """Say it after what is being said."""
        self._to_say += audio_s16.astype("<i2").tobytes()

    async def tell(self, message: dict[str, Any]) -> None:
        """Send a message."""
        await self.line.send(json.dumps(message))

    async def until(self, condition: Any) -> None:
        """Wait until something that came makes it true."""
        async with asyncio.timeout(WAIT_SECS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_event(self, name: str, count: int = 1) -> dict[str, Any]:
        """Wait for an event of that name; the last one."""
        await self.until(lambda: len(self.named(name)) >= count)
        return self.named(name)[-1]

    async def until_closed(self) -> tuple[int | None, str]:
        """Wait until the server has closed the line; its code and reason."""
        async with asyncio.timeout(WAIT_SECS):
            await self.ended.wait()
        return self.close_code, self.close_reason

    def named(self, name: str) -> list[dict[str, Any]]:
        """The events of that name."""
        return [event for event in self.events if event["event"] == name]

    @property
    def heard_s16(self) -> np.ndarray[Any, np.dtype[np.int16]]:
        """All sound that came."""
        return np.frombuffer(bytes(self.heard), "<i2")

    async def fall_silent(self) -> None:
        """Send nothing more, not even pings; the line stays open, and what comes is still read."""
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks[1:], return_exceptions=True)

    async def leave(self) -> None:
        """Close the line."""
        await self.fall_silent()
        await self.line.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _speak(self) -> None:
        due_secs = time.monotonic()
        with suppress(ConnectionClosed):
            while True:
                pcm16 = bytes(self._to_say[:FRAME_BYTES]).ljust(FRAME_BYTES, b"\0")
                del self._to_say[:FRAME_BYTES]
                await self.line.send(pcm16)
                due_secs += FRAME_SECS
                await asyncio.sleep(max(0.0, due_secs - time.monotonic()))

    async def _listen(self) -> None:
        try:
            while True:
                self._take(await self.line.recv())
        except ConnectionClosed as closed:
            if closed.rcvd:
                self.close_code, self.close_reason = closed.rcvd.code, closed.rcvd.reason
            self.ended.set()
            self._changed.set()

    def _take(self, data: str | bytes) -> None:
        now_secs = time.monotonic()
        if isinstance(data, bytes):
            duration_secs = len(data) / 2 / OUT_RATE_HZ
            self.arrivals.append((now_secs, duration_secs))
            self._played_until_secs = max(self._played_until_secs, now_secs) + duration_secs
            self.heard += data
        else:
            message = json.loads(data)
            self.messages.append(message)
            if message["type"] == "event":
                self.events.append(message["event"])
            elif message["type"] == "clear":
                self.cuts.append(len(self.heard) // 2)
                self.dropped_secs.append(max(0.0, self._played_until_secs - now_secs))
                self._played_until_secs = now_secs
        self._changed.set()


@asynccontextmanager
async def calling(url: str, **options: Any) -> AsyncIterator[Caller]:
    """A caller that has a line and has not joined yet."""
    async with connect(url, ping_interval=None, compression=None, **options) as line:
        caller = Caller(line)
        try:
            yield caller
        finally:
            await caller.leave()
