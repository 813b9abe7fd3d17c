"""The user's turns as the client is told them: when speech begins and ends, what was committed, what was understood.

In:  lines of the event log.   Out: `input_audio_buffer.*`, `conversation.item.*` of the user's items; words while they
are spoken, as far as they stand.

Speech counts from the moment it is a turn: what is said over the agent and wants nothing is none, and cuts nobody off.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from agent.server.realtime.items import Item, Items
from agent.server.realtime.live_words import LiveWords
from agent.server.realtime.outgoing import Send, new_id
from agent.server.realtime.session_config import SessionConfig

Event = Mapping[str, Any]


class UserTurns:
    """Those of one conversation.

    Args:
        send: Sends an event.
        items: Of the conversation.
        heard_ms: How much of the client's sound has been heard so far.

    Attributes:
        config: The session.
        is_open: Whether the user is speaking, or has committed what is not yet understood.
        is_due: Whether a turn is over whose answer has not begun.
    """

    def __init__(self, send: Send, items: Items, heard_ms: Callable[[], int]) -> None:
        self.config = SessionConfig()
        self.is_due = False
        self._send = send
        self._items = items
        self._heard_ms = heard_ms
        self._item_id: str | None = None
        self._voice_start_ms = self._voice_end_ms = 0
        self._texts: list[str] = []
        self._words = LiveWords()
        self._failed = ""
        # Committed by the client, and not yet understood.
        self._committed: deque[Item] = deque()

    @property
    def is_open(self) -> bool:
        return self._item_id is not None or bool(self._committed)

    def commit(self) -> None:
        """The client says that what it has sent is a turn."""
        item = self._item(new_id("item"))
        self._committed.append(item)
        self._tell_committed(item)

    def take(self, event: Event, start_secs: float, stop_secs: float) -> None:
        """Follow the conversation.

        Args:
            event: Of the event log.
            start_secs: How long voice lasts before it is told.
            stop_secs: How long silence does.
        """
        match event["event"]:
            case "user_started_speaking":
                self._voice_start_ms = max(0, self._heard_ms() - round(start_secs * 1000))
            case "user_stopped_speaking":
                self._voice_end_ms = max(0, self._heard_ms() - round(stop_secs * 1000))
            case "turn_started" if not self._committed and self._item_id is None:
                self._begin()
            case "partial_transcript":
                self._tell_words(" ".join([*self._texts, str(event["text"])]))
            case "transcript":
                self._texts.append(str(event["text"]).strip())
            case "false_interruption":
                self._texts = []
                self._words.forget()
            case "error" if event.get("stage") == "stt":
                self._failed = str(event["message"])
            case "turn_ended" if event.get("source") != "typed":
                self._end()

    def tell_silence(self, start_ms: int, end_ms: int) -> None:
        """The user has said nothing for so long that the agent speaks up: that is a turn without words."""
        self.is_due = True
        item = self._item(new_id("item"))
        times = {"audio_start_ms": start_ms, "audio_end_ms": end_ms}
        self._send("input_audio_buffer.timeout_triggered", item_id=item.id, **times)
        self._tell_committed(item)

    def _begin(self) -> None:
        self._item_id = new_id("item")
        # Voice may have begun before this turn did, over the agent.
        self._send("input_audio_buffer.speech_started", audio_start_ms=self._start_ms(), item_id=self._item_id)

    def _start_ms(self) -> int:
        detection = self.config.audio.input.turn_detection
        padding_ms = getattr(detection, "prefix_padding_ms", 0)
        return max(0, self._voice_start_ms - padding_ms)

    def _end(self) -> None:
        if self._committed:
            item = self._committed.popleft()
        elif self._item_id is not None:
            item, self._item_id = self._item(self._item_id), None
            end_ms = max(self._voice_end_ms, self._voice_start_ms)
            self._send("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=item.id)
            self._tell_committed(item)
        else:
            return
        text = " ".join(filter(None, self._texts))
        self._texts = []
        self._understand(item, text)

    def _item(self, item_id: str) -> Item:
        content = [{"type": "input_audio", "transcript": None}]
        return Item(
            {
                "id": item_id,
                "object": "realtime.item",
                "type": "message",
                "status": "completed",
                "role": "user",
                "content": content,
            }
        )

    def _tell_committed(self, item: Item) -> None:
        self._send("input_audio_buffer.committed", item_id=item.id, previous_item_id=self._items.last_id)
        self._items.add(item)

    def _tell_words(self, text: str) -> None:
        item_id = self._committed[0].id if self._committed else self._item_id
        if item_id is None or self.config.audio.input.transcription is None:
            # Words that nobody can be told yet: they are told with those that follow.
            return
        if delta := self._words.guess(text):
            place = {"item_id": item_id, "content_index": 0}
            self._send("conversation.item.input_audio_transcription.delta", **place, delta=delta)

    def _understand(self, item: Item, text: str) -> None:
        failed, self._failed = self._failed, ""
        rest = self._words.end(text)
        self.is_due = bool(text)
        item.heard = text
        self._items.weigh(item)
        if self.config.audio.input.transcription is None:
            return
        place = {"item_id": item.id, "content_index": 0}
        if failed and not text:
            error = {"type": "server_error", "code": "transcription_failed", "message": failed, "param": None}
            self._send("conversation.item.input_audio_transcription.failed", **place, error=error)
            return
        item.body["content"][0]["transcript"] = text
        if rest:
            self._send("conversation.item.input_audio_transcription.delta", **place, delta=rest)
        secs = {"type": "duration", "seconds": max(0, self._voice_end_ms - self._voice_start_ms) / 1000}
        self._send("conversation.item.input_audio_transcription.completed", **place, transcript=text, usage=secs)
