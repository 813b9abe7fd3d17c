"""A Realtime client for tests: openai-python's own, on the real application behind a real HTTP server.

Whatever the server sends is compared with openai-python's own types. The caller is a scripted client at the edge: it
sends sound as fast as a test says.
"""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import numpy as np
import soxr
import uvicorn
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from websockets.exceptions import ConnectionClosed

from agent.conversation.histories import Histories
from agent.server.app import build_app
from agent.server.calls.sessions import LiveSessions
from agent.server.calls.webrtc import WebSessions
from agent.server.calls.websocket import UVICORN_OPTIONS
from agent.server.http_server import HttpServer
from agent.server.state import ServerState
from agent.settings.load import Settings
from transports.channel_socket import ChannelSocket
from transports.json_text import read_json
from transports.recording import Pcm16

RATE_HZ = 24_000
WAIT_SECS = 120
PIECE_BYTES = RATE_HZ * 2 // 10
SERVER_EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)


@asynccontextmanager
async def serving_app(app: ASGIApp) -> AsyncIterator[str]:
    """Serve the application within this process; `http://127.0.0.1:PORT`."""
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, lifespan="off", **UVICORN_OPTIONS)
    server = HttpServer(config)
    task = asyncio.create_task(server.serve([bound]))
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        bound.close()


class HeldState(ServerState):
    """A server's state whose conversations a test holds."""

    def __init__(self, settings: Settings, live: LiveSessions) -> None:
        super().__init__(settings)
        self._live = live
        self._web = WebSessions(live)

    def sessions(self) -> LiveSessions:
        return self._live

    def peers(self) -> WebSessions:
        return self._web


@asynccontextmanager
async def serving_realtime(live: LiveSessions, settings: Settings) -> AsyncIterator[str]:
    """The whole application over conversations that a test holds; the base address of its API."""
    state = HeldState(settings, live)
    try:
        with checking_events() as check:
            async with serving_app(Checked(build_app(state), check)) as address:
                yield f"{address}/v1"
    finally:
        await state.calls.close()
        await state.peers().close()


Check = Callable[[str], None]


@contextmanager
def checking_events() -> Iterator[Check]:
    """Compare every event that a Realtime client is sent with openai-python's own types, whoever the client is.

    Yields:
        What takes an event that goes over a WebSocket; data channels are listened to.
    """
    wrong: list[str] = []
    send_text = ChannelSocket.send_text

    def check(text: str) -> None:
        try:
            SERVER_EVENTS.validate_python(read_json(text))
        except ValueError as error:
            wrong.append(f"{text[:300]}: {error}")

    async def send_checked(self: ChannelSocket, data: str) -> None:
        check(data)
        await send_text(self, data)

    ChannelSocket.send_text = send_checked
    try:
        yield check
    finally:
        ChannelSocket.send_text = send_text
    assert wrong == []


class Checked:
    """An application whose Realtime events are looked at.

    Args:
        app: It.
        check: Takes each event.
    """

    def __init__(self, app: ASGIApp, check: Check) -> None:
        self._app = app
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_checked(message: Message) -> None:
            if message["type"] == "websocket.send":
                self._check(message["text"])
            await send(message)

        is_realtime = scope["type"] == "websocket" and scope["path"] == "/v1/realtime"
        await self._app(scope, receive, send_checked if is_realtime else send)


def live_sessions(host: Any, settings: Settings) -> LiveSessions:
    """Conversations on engines that a test made."""
    return LiveSessions(host, settings, Histories())


class Told:
    """What a client was told.

    Attributes:
        events: All that came, each valid by openai-python's types.
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self._changed = asyncio.Event()
        self._is_closed = False

    def take(self, text: str | bytes) -> None:
        """An event has come."""
        event = read_json(text)
        SERVER_EVENTS.validate_python(event)
        self.events.append(event)
        self._changed.set()

    def close(self) -> None:
        """Nothing more comes."""
        self._is_closed = True
        self._changed.set()

    async def until(self, type_: str, count: int = 1) -> dict[str, Any]:
        """Wait for an event of that type; the one of that number."""
        async with asyncio.timeout(WAIT_SECS):
            while len(self.named(type_)) < count:
                if self._is_closed:
                    raise ConnectionError(f"closed with {self.close_code} before {type_} came: {self.types()}")
                self._changed.clear()
                await self._changed.wait()
        return self.named(type_)[count - 1]

    def named(self, type_: str) -> list[dict[str, Any]]:
        """The events of that type."""
        return [event for event in self.events if event["type"] == type_]

    def types(self) -> list[str]:
        """The types of all that came, runs of the same one told once."""
        types = [event["type"] for event in self.events]
        return [type_ for at, type_ in enumerate(types) if at == 0 or types[at - 1] != type_]


class RealtimeCaller(Told):
    """One client; use `calling_realtime`."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        super().__init__()
        self.connection = connection
        self._listening = asyncio.create_task(self._listen())

    async def tell(self, event: Mapping[str, Any]) -> None:
        """Send an event."""
        await self.connection.send(dict(event))  # pyright: ignore[reportArgumentType]

    async def tell_raw(self, text: str | bytes) -> None:
        """Send what is no event."""
        await self.connection._connection.send(text)

    async def update(self, **session: Any) -> dict[str, Any]:
        """Change the session; what the server says it is then."""
        before = len(self.named("session.updated"))
        await self.tell({"type": "session.update", "session": {"type": "realtime", **session}})
        return (await self.until("session.updated", before + 1))["session"]

    async def say(self, audio_s16: Pcm16, rate_hz: int = 16_000, *, silence_secs: float = 2.0) -> None:
        """Send a recording at once, as pieces of 100 ms, and silence behind it."""
        audio = soxr.resample(audio_s16, rate_hz, RATE_HZ).astype("<i2").tobytes()
        audio += bytes(round(silence_secs * RATE_HZ) * 2)
        for start in range(0, len(audio), PIECE_BYTES):
            piece = base64.b64encode(audio[start : start + PIECE_BYTES]).decode()
            await self.connection.input_audio_buffer.append(audio=piece)

    async def until_closed(self) -> int | None:
        """Wait for the end of the line; its code."""
        async with asyncio.timeout(WAIT_SECS):
            await asyncio.wait([self._listening])
        return self.close_code

    def heard_s16(self, response_id: str | None = None) -> np.ndarray[Any, np.dtype[np.int16]]:
        """The sound that came, of one response or of all."""
        deltas = self.named("response.output_audio.delta")
        wanted = [one["delta"] for one in deltas if response_id in (None, one["response_id"])]
        return np.frombuffer(b"".join(map(base64.b64decode, wanted)), "<i2")

    async def drop(self) -> None:
        """The line breaks."""
        self.connection._connection.transport.abort()
        await asyncio.wait([self._listening])

    async def leave(self) -> None:
        """Close the line."""
        await self.connection.close()
        await asyncio.wait([self._listening])

    async def _listen(self) -> None:
        try:
            while True:
                self.take(await self.connection.recv_bytes())
        except ConnectionClosed as closed:
            self.close_code = closed.rcvd.code if closed.rcvd else None
        finally:
            self.close()


@asynccontextmanager
async def calling_realtime(
    url: str, *, key: str = "none", query: Mapping[str, str] | None = None, model: str = "gpt-realtime"
) -> AsyncIterator[RealtimeCaller]:
    """A client that has its session, by openai-python."""
    client = AsyncOpenAI(base_url=url, api_key=key)
    options: Any = {"ping_interval": None, "compression": None}
    connecting = client.realtime.connect(
        model=model, extra_query=dict(query or {}), websocket_connection_options=options
    )
    async with connecting as connection:
        caller = RealtimeCaller(connection)
        try:
            await caller.until("session.created")
            yield caller
        finally:
            await caller.leave()
            await client.close()
