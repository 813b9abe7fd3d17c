"""The WebSocket of the page, `/api/ws`: for browsers and programs that cannot connect by WebRTC.

In:  first `{"type": "join", "conversation"?, "options"?, "record"?, "sample_rate_hz": 16000}`, then sound and messages.
Out: `{"type": "joined", "conversation", "sample_rate_hz"}`, then sound, events and messages; or
     `{"type": "refused", "error"}`, and the line is closed.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from fastapi import APIRouter, WebSocket
from loguru import logger
from pipecat.transports.base_transport import BaseTransport
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocketDisconnect

from agent.errors import SettingsError, SottoError
from transports.websocket import WebSocketTransport
from transports.websocket_line import (
    GOING_AWAY,
    IN_RATE_HZ,
    INVALID_DATA,
    MAX_TEXT_CHARS,
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
    Message,
    parse_message,
)

PATH = "/api/ws"
# For uvicorn. Its pings find a client that is gone or does not read; sound does not shrink by being packed, and what
# is unpacked has no bounds. What is longer than a client may send is refused before it is read whole.
UVICORN_OPTIONS: dict[str, Any] = {
    "ws": "websockets-sansio",
    "ws_max_size": 4 * MAX_TEXT_CHARS,
    "ws_ping_interval": 3.0,
    "ws_ping_timeout": 5.0,
    "ws_per_message_deflate": False,
}
JOIN_TIMEOUT_SECS = 10.0
MAX_ERROR_CHARS = 300


class Join(BaseModel):
    """What a client asks for when it joins.

    Attributes:
        conversation: An earlier conversation that is to go on.
        options: Dotted setting keys for this session.
        record: Whether it is to be recorded.
        sample_rate_hz: Of the client's sound.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    type: str = "join"
    conversation: str | None = Field(None, max_length=100)
    options: dict[str, Any] = Field(default_factory=dict)
    record: bool = False
    sample_rate_hz: int = IN_RATE_HZ


class Session(Protocol):
    """A conversation that is being held.

    Attributes:
        conversation_id: What a later session names to go on with it.
        ended: Done when the conversation has ended.
        end_reason: Why it has.
    """

    @property
    def conversation_id(self) -> str: ...
    @property
    def ended(self) -> "asyncio.Future[None]": ...
    @property
    def end_reason(self) -> str: ...

    async def receive(self, message: Message) -> None:
        """Take a message of the client."""
        ...

    async def stop(self, reason: str) -> None:
        """End it; returns when it has ended."""
        ...


MakeTransport = Callable[[int], BaseTransport]
SendMessage = Callable[[Message], None]


class Sessions(Protocol):
    """What holds conversations, capped over all transports."""

    async def begin(self, join: Join, make_transport: MakeTransport, send: SendMessage) -> Session:
        """Start a conversation.

        Args:
            join: What is asked for.
            make_transport: Called with the rate of the agent's voice.
            send: Takes the messages for the client, events among them.

        Raises:
            SottoError: It cannot be held; the message says why.
        """
        ...


class JoinError(SottoError):
    """A client's first message is not what it must be."""


def websocket_router(sessions: Callable[[], Sessions]) -> APIRouter:
    """The route.

    Args:
        sessions: Gives what holds conversations; raises a SottoError while there is nothing.
    """
    router = APIRouter()

    @router.websocket(PATH)
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        try:
            await _talk(socket, sessions)
        except WebSocketDisconnect:
            logger.debug("a client left before it had joined")

    return router


async def _talk(socket: WebSocket, sessions: Callable[[], Sessions]) -> None:
    made: list[WebSocketTransport] = []
    session: Session | None = None

    async def take(message: Message) -> None:
        if session:
            await session.receive(message)

    def make_transport(out_rate_hz: int) -> WebSocketTransport:
        made.append(WebSocketTransport(socket, out_rate_hz, take))
        return made[0]

    def send(message: Message) -> None:
        made[0].send(message)

    try:
        session = await sessions().begin(await _read_join(socket), make_transport, send)
    except SottoError as error:
        await _refuse(socket, error)
        return
    await _carry(made[0], session)


async def _carry(transport: WebSocketTransport, session: Session) -> None:
    """Carry the session until either side ends it."""
    session.ended.add_done_callback(lambda _: transport.end(session.end_reason, _code_of(session.end_reason)))
    greeting = {
        "type": "joined",
        "conversation": session.conversation_id,
        "sample_rate_hz": transport.out_rate_hz,
    }
    reason = "the connection failed"
    try:
        ending = await transport.run(greeting)
        reason = ending.reason
    finally:
        await session.stop(reason)


def _code_of(reason: str) -> int:
    return GOING_AWAY if "server stops" in reason else 1000


async def _read_join(socket: WebSocket) -> Join:
    try:
        event = await asyncio.wait_for(socket.receive(), JOIN_TIMEOUT_SECS)
    except TimeoutError:
        raise JoinError(f"no join came within {JOIN_TIMEOUT_SECS:.0f} s") from None
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event.get("code", GOING_AWAY))
    text = event.get("text")
    message = parse_message(text) if text is not None and len(text) <= MAX_TEXT_CHARS else None
    if message is None or message["type"] != "join":
        raise JoinError('the first message must be {"type": "join", ...}')
    try:
        join = Join.model_validate(message)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise JoinError(f"join: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
    if join.sample_rate_hz != IN_RATE_HZ:
        raise JoinError(f"join: sample_rate_hz must be {IN_RATE_HZ}, not {join.sample_rate_hz}")
    return join


async def _refuse(socket: WebSocket, error: SottoError) -> None:
    # What a client sent may hold characters that no encoding can carry.
    text = str(error).encode("utf-8", "backslashreplace").decode()[:MAX_ERROR_CHARS]
    await socket.send_json({"type": "refused", "error": text})
    if isinstance(error, JoinError):
        code = INVALID_DATA
    else:
        code = POLICY_VIOLATION if isinstance(error, SettingsError) else TRY_AGAIN_LATER
    await socket.close(code, "the call was refused")
