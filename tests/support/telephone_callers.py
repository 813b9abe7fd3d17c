"""Telephone providers for tests, and the real routes behind the real guard on a real HTTP server for them to call.

A provider is a scripted client at the edge: it speaks the protocol from its published shapes, in µ-law of its own,
sends 20 ms of the caller's sound every 20 ms, plays what it gets one second a second, and answers marks when they are
played.
"""

import asyncio
import base64
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from agent.server.calls.sessions import LiveSessions
from agent.server.calls.websocket import UVICORN_OPTIONS
from agent.server.guard.access import Guard
from agent.server.http_server import HttpServer
from agent.server.telephony.routes import telephone_routes
from agent.server.wire.json_body import RequestError, error_response
from agent.settings.load import Settings
from tests.support.telephone_sound import from_ulaw, to_ulaw
from transports.recording import Pcm16

RATE_HZ = 8_000
FRAME_SECS = 0.02
FRAME_SAMPLES = int(RATE_HZ * FRAME_SECS)
WAIT_SECS = 60


@asynccontextmanager
async def serving_lines(
    sessions: LiveSessions, settings: Settings, tell: Callable[[dict[str, Any]], None]
) -> AsyncIterator[int]:
    """Serve the routes within this process; the port."""
    app = FastAPI()
    app.add_middleware(Guard, server=settings.server, telephony=settings.telephony)
    app.include_router(telephone_routes(settings, lambda: sessions, tell))

    @app.exception_handler(RequestError)
    async def request_error(_: Request, error: RequestError) -> Response:
        return error_response(error.status, str(error), error.headers)

    bound = socket.create_server(("127.0.0.1", 0))
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, lifespan="off", **UVICORN_OPTIONS)
    server = HttpServer(config)
    task = asyncio.create_task(server.serve([bound]))
    try:
        yield bound.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        bound.close()


class TwilioCaller:
    """One call that Twilio streams; use `twilio_call`.

    Attributes:
        line: The WebSocket.
        messages: All that came.
        cuts: How many samples had come at each `clear`.
        close_code: Why the server closed the line, once it has.
        close_reason: The same in words.
    """

    stream = "MZ18ad3ab5a668481ce02b83e7395059f0"

    def __init__(self, line: ClientConnection, *, answers_marks: bool = True) -> None:
        self.line = line
        self.messages: list[dict[str, Any]] = []
        self.cuts: list[int] = []
        self.close_code: int | None = None
        self.close_reason = ""
        self.ended = asyncio.Event()
        self._answers_marks = answers_marks
        self._heard = bytearray()
        self._changed = asyncio.Event()
        self._to_say = bytearray()
        self._n_sent = 0
        self._played_until_secs = 0.0
        self._marks: list[tuple[float, str]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start_message(self, parameters: Mapping[str, str], **changes: Any) -> dict[str, Any]:
        """How the stream begins."""
        start = {
            "accountSid": "AC00000000000000000000000000000000",
            "streamSid": self.stream,
            "callSid": "CA00000000000000000000000000000000",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(parameters),
            **changes,
        }
        return {"event": "start", "sequenceNumber": "1", "start": start, "streamSid": self.stream}

    greeting: str | None = '{"event": "connected", "protocol": "Call", "version": "1.0.0"}'

    async def begin(self, parameters: Mapping[str, str] | None = None, **changes: Any) -> None:
        """Greet, start, and send the caller's sound from now on."""
        self.listen()
        if self.greeting:
            await self.tell(self.greeting)
        await self.tell(self.start_message(parameters or {}, **changes))
        self._tasks.append(asyncio.create_task(self._speak()))

    def listen(self) -> None:
        """Keep what comes from now on."""
        self._tasks.append(asyncio.create_task(self._listen()))

    async def tell(self, message: object) -> None:
        """Send a message."""
        with suppress(ConnectionClosed):
            await self.line.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def say(self, audio_s16: Pcm16) -> None:
        """Say it after what is being said; 8 kHz."""
        self._to_say += to_ulaw(audio_s16)

    async def press(self, key: str) -> None:
        """Press a key."""
        await self.tell({"event": "dtmf", "streamSid": self.stream, "dtmf": {"track": "inbound_track", "digit": key}})

    async def hang_up(self) -> None:
        """The caller hangs up."""
        await self.tell({"event": "stop", "streamSid": self.stream, "stop": {"callSid": "CA0"}})

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something that came makes it true."""
        async with asyncio.timeout(WAIT_SECS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_closed(self) -> tuple[int | None, str]:
        """Wait until the server has closed the line; its code and reason."""
        async with asyncio.timeout(WAIT_SECS):
            await self.ended.wait()
        return self.close_code, self.close_reason

    @property
    def heard_s16(self) -> Pcm16:
        """All sound that came; 8 kHz."""
        return from_ulaw(bytes(self._heard))

    @property
    def has_played_all(self) -> bool:
        """Whether the caller has heard all that came."""
        return self._played_until_secs <= time.monotonic()

    async def leave(self) -> None:
        """Close the line."""
        await self.line.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def media_message(self, ulaw: bytes) -> dict[str, Any]:
        """The caller's sound."""
        self._n_sent += 1
        media = {
            "track": "inbound",
            "chunk": str(self._n_sent),
            "timestamp": str(20 * self._n_sent),
            "payload": base64.b64encode(ulaw).decode(),
        }
        return {"event": "media", "sequenceNumber": str(self._n_sent), "media": media, "streamSid": self.stream}

    async def _speak(self) -> None:
        due_secs = time.monotonic()
        with suppress(ConnectionClosed):
            while True:
                ulaw = bytes(self._to_say[:FRAME_SAMPLES]).ljust(FRAME_SAMPLES, b"\xff")
                del self._to_say[:FRAME_SAMPLES]
                await self.line.send(json.dumps(self.media_message(ulaw)))
                await self._answer_marks()
                due_secs += FRAME_SECS
                await asyncio.sleep(max(0.0, due_secs - time.monotonic()))

    async def _answer_marks(self) -> None:
        while self._answers_marks and self._marks and self._marks[0][0] <= time.monotonic():
            await self.tell(self.mark_message(self._marks.pop(0)[1]))

    def mark_message(self, name: str) -> dict[str, Any]:
        """All before this mark was played, or dropped."""
        return {"event": "mark", "streamSid": self.stream, "mark": {"name": name}}

    async def _listen(self) -> None:
        try:
            while True:
                self._take(json.loads(await self.line.recv()))
        except ConnectionClosed as closed:
            if closed.rcvd:
                self.close_code, self.close_reason = closed.rcvd.code, closed.rcvd.reason
            self.ended.set()
            self._changed.set()

    def _take(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        now_secs = time.monotonic()
        match self.understood(message):
            case ("sound", bytes(ulaw)):
                self._heard += ulaw
                self._played_until_secs = max(self._played_until_secs, now_secs) + len(ulaw) / RATE_HZ
            case ("mark", str(name)):
                self._marks.append((self._played_until_secs, name))
            case ("clear", _):
                self.cuts.append(len(self._heard))
                # Whoever drops sound answers its marks at once.
                self._marks = [(now_secs, name) for _, name in self._marks]
                self._played_until_secs = now_secs
            case _:
                raise AssertionError(f"no message of this protocol: {message}")
        self._changed.set()

    def understood(self, message: dict[str, Any]) -> tuple[str, object] | None:
        """What a message of the server's has Twilio do."""
        match message:
            case {"event": "media", "streamSid": self.stream, "media": {"payload": str(payload)}}:
                return "sound", base64.b64decode(payload, validate=True)
            case {"event": "mark", "streamSid": self.stream, "mark": {"name": str(name)}}:
                return "mark", name
            case {"event": "clear", "streamSid": self.stream}:
                return "clear", None
            case _:
                return None


class TelnyxCaller(TwilioCaller):
    """One call that Telnyx streams."""

    greeting = '{"event": "connected", "version": "1.0.0"}'
    stream = "32DE0DEA-53CB-4B21-89A4-9E1819C043BC"

    def start_message(self, parameters: Mapping[str, str], **changes: Any) -> dict[str, Any]:
        start = {
            "user_id": "3E6F995F-85F7-4705-9741-53B116D28237",
            "call_control_id": "v2:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ",
            "client_state": "aGF2ZSBhIG5pY2UgZGF5ID1d",
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
            "custom_parameters": dict(parameters),
            **changes,
        }
        return {"event": "start", "sequence_number": "1", "start": start, "stream_id": self.stream}

    async def press(self, key: str) -> None:
        await self.tell({"event": "dtmf", "stream_id": self.stream, "sequence_number": "5", "dtmf": {"digit": key}})

    async def hang_up(self) -> None:
        await self.tell({"event": "stop", "sequence_number": "5", "stop": {"reason": "x"}, "stream_id": self.stream})

    def mark_message(self, name: str) -> dict[str, Any]:
        return {"event": "mark", "sequence_number": "4", "stream_id": self.stream, "mark": {"name": name}}

    def understood(self, message: dict[str, Any]) -> tuple[str, object] | None:
        """What a message of the server's has Telnyx do."""
        match message:
            case {"event": "media", "media": {"payload": str(payload)}}:
                return "sound", base64.b64decode(payload, validate=True)
            case {"event": "mark", "mark": {"name": str(name)}}:
                return "mark", name
            case {"event": "clear"}:
                return "clear", None
            case _:
                return None


class PlivoCaller(TwilioCaller):
    """One call that Plivo streams; it tells nothing when it ends, but closes the line."""

    greeting = None
    stream = "87654321-4321-4321-4321-cba987654321"

    def start_message(self, parameters: Mapping[str, str], **changes: Any) -> dict[str, Any]:
        start = {
            "callId": "12345678-1234-1234-1234-123456789abc",
            "streamId": self.stream,
            "accountId": "MAXXXXXXXXXXXXXXXXXX",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
            **changes,
        }
        headers = ";".join(f"{name}={value}" for name, value in parameters.items())
        return {"event": "start", "sequenceNumber": 1, "start": start, "extra_headers": headers}

    async def press(self, key: str) -> None:
        dtmf = {"track": "inbound", "digit": key, "timestamp": "1705312200000"}
        await self.tell({"event": "dtmf", "sequenceNumber": 9, "streamId": self.stream, "dtmf": dtmf})

    async def hang_up(self) -> None:
        await self.line.close()

    def mark_message(self, name: str) -> dict[str, Any]:
        return {"event": "playedStream", "streamId": self.stream, "name": name}

    def understood(self, message: dict[str, Any]) -> tuple[str, object] | None:
        """What a message of the server's has Plivo do."""
        kind = {"contentType": "audio/x-mulaw", "sampleRate": 8000}
        match message:
            case {"event": "playAudio", "media": {"payload": str(payload), **told}} if told == kind:
                return "sound", base64.b64decode(payload, validate=True)
            case {"event": "checkpoint", "streamId": self.stream, "name": str(name)}:
                return "mark", name
            case {"event": "clearAudio", "streamId": self.stream}:
                return "clear", None
            case _:
                return None


@asynccontextmanager
async def twilio_call(
    port: int,
    path: str,
    *,
    answers_marks: bool = True,
    headers: Mapping[str, str] | None = None,
    of: type[TwilioCaller] = TwilioCaller,
) -> AsyncIterator[TwilioCaller]:
    """A provider with a line, on which nothing has begun yet; it calls the server by its public name."""
    options: dict[str, Any] = {"ping_interval": None, "compression": None, "additional_headers": headers}
    async with connect(f"ws://agent.example.org{path}", host="127.0.0.1", port=port, proxy=None, **options) as line:
        caller = of(line, answers_marks=answers_marks)
        try:
            yield caller
        finally:
            await caller.leave()
