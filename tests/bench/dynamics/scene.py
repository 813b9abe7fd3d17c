"""What one scene of a conversation left behind; all times are seconds on the conversation's timeline."""

from dataclasses import dataclass, field
from typing import Any

from agent.conversation.event_log import Event
from tests.bench.dynamics.code import Pcm16
from tests.bench.dynamics.items import Item


@dataclass(frozen=True)
class Scene:
    """An item, said to an agent that is silent (question, hesitating) or speaking (all others).

    Attributes:
        said_secs: Where the item's first sample lies.
        until_secs: Where the scene ends: all is quiet again.
        reply: What the agent says to the question; where it is not scripted, empty.
        next_reply: What it says to anything after that.
        heard_s16: shape (n_samples,), int16, 24 kHz: all that the agent played in the conversation.
        events: The scene's events, in the order in which they came.
        messages: What the scene added to the history.
        n_requests: How often the language model was asked.
        delays_secs: What the three engines take together; None where they are real.
        lag_secs: The latest that the event loop came to anything; the sound card of the bench runs on it.
    """

    item: Item
    said_secs: float
    until_secs: float
    heard_s16: Pcm16 = field(repr=False)
    events: tuple[Event, ...] = ()
    messages: tuple[dict[str, Any], ...] = ()
    n_requests: int = 0
    reply: str = ""
    next_reply: str = ""
    delays_secs: float | None = None
    lag_secs: float = 0.0

    @property
    def over_agent(self) -> bool:
        """Whether the agent is talked over."""
        return self.item.kind in ("barge_in", "backchannel", "noise")

    @property
    def onset_secs(self) -> float:
        """Where the item's voice or noise starts."""
        return self.said_secs + self.item.onset_secs

    @property
    def end_secs(self) -> float:
        """Where it truly ends."""
        return self.said_secs + self.item.end_secs

    def named(self, name: str) -> list[Event]:
        """All events of that name."""
        return [event for event in self.events if event["event"] == name]
