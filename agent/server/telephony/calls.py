"""One call on a telephone's line: the same conversation as a page's, carried by the protocol of the line.

In:  a stream that has begun.   Out: a LiveSession on it, until one side hangs up.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.conversation.conversation import Conversation
from agent.conversation.events import EndCode
from agent.server.calls.plan import SessionPlan, SessionRequest
from agent.server.calls.session import LiveSession
from agent.server.calls.sessions import LiveSessions
from agent.server.calls.websocket import LineCarrier
from agent.server.telephony.keypad import Keypad
from agent.settings.session import always_awake
from agent.settings.telephony import TelephoneLine as LineSettings
from agent.tools.hang_up import HangUp
from transports.telephone_line import TelephoneLine
from transports.telephone_protocol import TelephoneProtocol
from transports.websocket import WebSocketTransport
from transports.websocket_line import GOING_AWAY, NORMAL, Message, OnMessage, OnSound, Socket

# Groups the histories of all callers; each call has its own, and a memory has none of them.
OWNER = "telephone"
HUNG_UP = "the agent hung up"

Tell = Callable[[dict[str, Any]], None]


class _Call:
    """One call; made on the event loop within `LiveSessions.planned`."""

    def __init__(self, socket: Socket, protocol: TelephoneProtocol, line: LineSettings, plan: SessionPlan) -> None:
        self._keypad = Keypad(self._answer)
        self._is_answered = line.keys == "answer"
        self._hangs_up = line.hang_up
        self._ending: asyncio.Task[None] | None = None
        rate_hz = plan.host.tts.loaded.sample_rate_hz

        def make_line(accepted: Socket, on_sound: OnSound, _: OnMessage) -> TelephoneLine:
            return TelephoneLine(accepted, on_sound, self._press, protocol, rate_hz)

        self.transport = WebSocketTransport(
            socket, rate_hz, _no_message, make_line=make_line, lead_secs=protocol.lead_secs
        )
        self.session: LiveSession | None = None

    def begin(self, live: LiveSessions, plan: SessionPlan, tell: Tell) -> LiveSession:
        """Start the conversation."""
        hang_up = HangUp(self.transport.until_played, self._end) if self._hangs_up else None
        carrier = LineCarrier(self.transport)
        session = live.start(plan, self.transport, tell, carrier, has_camera=False, hang_up=hang_up, way="telephone")
        self.session = session
        session.on_end(lambda: self._hang_up(session.conversation))
        return session

    def _end(self) -> None:
        if self.session:
            # The conversation asks for it, and cancels whatever of its own is under way.
            self._ending = asyncio.create_task(
                self.session.conversation.stop(HUNG_UP, EndCode.AGENT_HUNG_UP), name="hang-up"
            )

    def _hang_up(self, conversation: Conversation) -> None:
        self._keypad.close()
        goes_away = conversation.end_code is EndCode.SERVER_STOPS
        self.transport.end(conversation.end_reason, GOING_AWAY if goes_away else NORMAL)

    async def _press(self, key: str) -> None:
        await self.transport.press(key)
        if self._is_answered:
            self._keypad.press(key)

    async def _answer(self, words: str) -> None:
        if self.session:
            await self.session.conversation.type(words, spoken=True)


async def hold_call(
    socket: Socket, protocol: TelephoneProtocol, line: LineSettings, live: LiveSessions, tell: Tell
) -> None:
    """Hold one call to its end.

    Args:
        socket: Accepted; the stream has begun on it.
        protocol: Of the stream.
        line: Its settings.
        live: What holds conversations.
        tell: Told what a page would be told.

    Raises:
        BusyError: There are as many conversations as may be.
        OptionError: One of the line's options is unknown or invalid.
        EngineUnavailableError: An engine that they name cannot be used.
    """
    async with live.planned(SessionRequest(options=line.options, owner=(OWNER, protocol.start.stream))) as plan:
        plan = replace(plan, settings=always_awake(plan.settings))
        call = _Call(socket, protocol, line, plan)
        session = call.begin(live, plan, tell)
    reason = "the connection failed"
    try:
        reason = (await call.transport.run()).reason
    finally:
        await session.end(reason)


async def _no_message(_: Message) -> None:
    return
