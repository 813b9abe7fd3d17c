"""One conversation that somebody is connected to, and what its connection and its counters are asked for."""

from collections.abc import Callable
from typing import Any, Protocol

from pipecat.frames.frames import InputAudioRawFrame

from agent.conversation.conversation import Conversation
from agent.conversation.event_log import Event
from agent.conversation.events import EndCode
from agent.server.calls.changes import SettingChanges
from agent.server.calls.messages import ClientMessages
from agent.server.calls.plan import SessionPlan

Send = Callable[[dict[str, Any]], None]


class Carrier(Protocol):
    """What carries one page's sound and messages."""

    def gone(self) -> str | None:
        """Why the page counts as gone; None while it does not."""
        ...

    async def hang_up(self) -> None:
        """Close the connection; nothing happens if it is closed."""
        ...


class Metered(Protocol):
    """Counts for one conversation."""

    def __call__(self, event: Event, /) -> None:
        """Count an event."""
        ...

    def heard(self, frame: InputAudioRawFrame, at_ns: int, /) -> None:
        """Count a frame of the microphone, which all of the input side has had."""
        ...


class LiveSession:
    """One conversation of a page.

    Attributes:
        plan: What it was started with; its history is another one where the page has started over.
        conversation: The conversation.
        carrier: The page's connection.
        send: Sends a message to the page.
        way: How it came in: webrtc, websocket, realtime or telephone.
    """

    def __init__(
        self,
        plan: SessionPlan,
        conversation: Conversation,
        carrier: Carrier,
        send: Send,
        changes: SettingChanges,
        way: str = "webrtc",
        begin_anew: Callable[["LiveSession"], str] = lambda session: "",
    ) -> None:
        self.way = way
        self.plan = plan
        self.conversation = conversation
        self.carrier = carrier
        self.send = send
        self.handle = ClientMessages(conversation, changes.ask, plan.pictures, lambda: begin_anew(self)).handle
        self._endings: list[Callable[[], None]] = [changes.end]

    def on_end(self, then: Callable[[], None]) -> None:
        """Have something done when it has ended.

        Args:
            then: Called once; must not block.
        """
        self._endings.append(then)

    def ended(self) -> None:
        """Do what is to be done at the end."""
        for then in self._endings:
            then()

    async def end(self, reason: str, code: EndCode = EndCode.PEER_LOST) -> None:
        """End the conversation and the connection.

        Args:
            reason: What the log and the page are told.
            code: The same for programs.
        """
        await self.conversation.stop(reason, code)
        await self.carrier.hang_up()
