"""What is recorded of one call: of each conversation that is held in it a recording of its own.

In:  the call's events.   Out: recordings that begin where a page starts over, and end there or with the call.
"""

from collections.abc import Callable
from typing import Protocol

from agent.conversation.event_log import Event
from agent.conversation.live_recording import ASLEEP, AWAKE, LiveRecording


class Begin(Protocol):
    """Begins a recording."""

    def __call__(self, conversation: str, *, asleep: bool, at_secs: float) -> LiveRecording | None:
        """Record a conversation.

        Args:
            conversation: Its id.
            asleep: Whether it begins asleep.
            at_secs: When it begins, on the call's timeline.

        Returns:
            None where nothing can be recorded, or is to be; why was told.
        """
        ...


class RecordedCall:
    """A sink of the call's events; made and called on the event loop.

    Args:
        begin: Begins each recording.
        finish: Has one end, and does not wait for that.
        conversation: Id of the one that the call begins with.
        asleep: Whether it begins asleep.

    Attributes:
        live: The recording of now; None where there is none.
    """

    def __init__(
        self, begin: Begin, finish: Callable[[LiveRecording], None], conversation: str, *, asleep: bool
    ) -> None:
        self._begin = begin
        self._finish = finish
        self._conversation = conversation
        self._asleep = asleep
        self._started: Event = {}
        self.live = begin(conversation, asleep=asleep, at_secs=0.0)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if not self.live:
            return
        self.live(event)
        match event["event"]:
            case "session_started":
                self._started = event
            case "settings_changed":
                self._started = self._started | {key: event[key] for key in event if key in self._started}
                self._started["event"] = "session_started"
            case name if name in (AWAKE, ASLEEP):
                self._asleep = name == ASLEEP
            case "started_over" if event.get("conversation", self._conversation) != self._conversation:
                self._go_over(event["conversation"], event["t"])
            case _:
                pass

    def end(self) -> None:
        """The call has ended."""
        if self.live:
            self._finish(self.live)

    def _go_over(self, conversation: str, at_secs: float) -> None:
        self.end()
        self._conversation = conversation
        self.live = self._begin(conversation, asleep=self._asleep, at_secs=at_secs)
        if self.live:
            new = {"t": at_secs, "conversation": conversation, "history": [], "noted": False, "recorded_secs": 0.0}
            self.live(self._started | new)
