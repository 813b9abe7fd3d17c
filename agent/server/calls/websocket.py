"""The WebSocket of the page, `/api/ws`: for browsers and programs that cannot connect by WebRTC.

In:  first `{"type": "join", "conversation"?, "options"?, "record"?, "page"?, "sample_rate_hz": 16000}`, then sound and
     messages.
Out: `{"type": "joined", "conversation", "sample_rate_hz"}`, then sound, events and messages; or
     `{"type": "refused", "error", "passing": whether to try again later}`, and the line is closed.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, WebSocket
from loguru import logger
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocketDisconnect

from agent.conversation.events import EndCode
from agent.conversation.histories import HistoryInUseError
from agent.errors import SottoError
from agent.server.calls.plan import SessionPlan, SessionRequest
from agent.server.calls.session import LiveSession
from agent.server.calls.sessions import BusyError, LiveSessions
from agent.server.wire.owner import MAX_PAGE_CHARS, memory_owner_of, owner_of
from processors.errors import EngineUnavailableError
from transports.websocket import WebSocketTransport
from transports.websocket_line import (
    GOING_AWAY,
    IN_RATE_HZ,
    INVALID_DATA,
    MAX_TEXT_CHARS,
    NORMAL,
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
    Message,
    parse_message,
)

PATH = "/api/ws"
# A Realtime client may send half a minute of sound in one event. What the page's line takes is bounded there.
MAX_MESSAGE_BYTES = 2 * 2**20
# For uvicorn. Its pings find a client that is gone or does not read; sound does not shrink by being packed, and what
# is unpacked has no bounds. What is longer than a client may send is refused before it is read whole.
UVICORN_OPTIONS: dict[str, Any] = {
    "ws": "websockets-sansio",
    "ws_max_size": MAX_MESSAGE_BYTES,
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
        page: What the client calls itself, so that others' conversations take up none of its room.
        browser: What its browser calls itself, whose memory it is to have.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    type: str = "join"
    conversation: str | None = Field(None, max_length=100)
    options: dict[str, Any] = Field(default_factory=dict)
    record: bool = False
    sample_rate_hz: int = IN_RATE_HZ
    page: str | None = Field(None, max_length=MAX_PAGE_CHARS)
    browser: str | None = Field(None, max_length=MAX_PAGE_CHARS)


class JoinError(SottoError):
    """A client's first message is not what it must be."""


class LineCarrier:
    """The line watches over its client itself.

    Args:
        transport: What the line belongs to.
    """

    def __init__(self, transport: WebSocketTransport) -> None:
        self._transport = transport

    def gone(self) -> str | None:
        """Never: the line ends by itself."""
        return None

    async def hang_up(self) -> None:
        """Close the line when what waits has been sent."""
        self._transport.end("the conversation is over")


def websocket_router(sessions: Callable[[], LiveSessions]) -> APIRouter:
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


async def _talk(socket: WebSocket, sessions: Callable[[], LiveSessions]) -> None:
    try:
        join = await _read_join(socket)
        live = sessions()
        async with live.planned(_request(join, socket)) as plan:
            transport, session = _start(socket, live, plan)
    except (SottoError, EngineUnavailableError) as error:
        await _refuse(socket, error)
        return
    rate_hz = transport.out_rate_hz
    reason = "the connection failed"
    try:
        greeting = {"type": "joined", "conversation": plan.history.id, "sample_rate_hz": rate_hz}
        reason = (await transport.run(greeting)).reason
    finally:
        await session.end(reason)


def _request(join: Join, socket: WebSocket) -> SessionRequest:
    return SessionRequest(
        join.conversation,
        join.options,
        join.record,
        owner_of(socket.scope, join.page),
        memory_owner_of(socket.scope, join.browser),
    )


def _start(socket: WebSocket, live: LiveSessions, plan: SessionPlan) -> tuple[WebSocketTransport, LiveSession]:
    async def take(message: Message) -> None:
        session.handle(message)

    transport = WebSocketTransport(socket, plan.rate_hz, take)
    session = live.start(plan, transport, transport.send, LineCarrier(transport), way="websocket")

    def hang_up() -> None:
        conversation = session.conversation
        goes_away = conversation.end_code is EndCode.SERVER_STOPS
        transport.end(conversation.end_reason, GOING_AWAY if goes_away else NORMAL)

    session.on_end(hang_up)
    return transport, session


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


def told(error: Exception) -> str:
    """An error as a client is told it, in one line."""
    return str(error).encode("utf-8", "backslashreplace").decode()[:MAX_ERROR_CHARS]


async def _refuse(socket: WebSocket, error: Exception) -> None:
    # What a client sent may hold characters that no encoding can carry.
    text = told(error)
    is_passing = isinstance(error, (BusyError, HistoryInUseError))
    await socket.send_json({"type": "refused", "error": text, "passing": is_passing})
    if isinstance(error, JoinError):
        code = INVALID_DATA
    else:
        code = TRY_AGAIN_LATER if is_passing else POLICY_VIOLATION
    await socket.close(code, "the call was refused")
