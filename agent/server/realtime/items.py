"""The items of one conversation, as its client knows them: messages, calls and their results, in order.

In:  items as they are made on either side.   Out: `conversation.item.*`.
"""

from dataclasses import dataclass, field
from typing import Any

from agent.conversation.histories import MAX_CHARS
from agent.server.realtime.outgoing import Send
from agent.server.realtime.problems import RealtimeProblem

MAX_ITEMS = 2_000
# For what holds a part's text.
PART_CHARS = 64
ROOT = "root"
Message = dict[str, Any]


@dataclass(eq=False)
class Item:
    """One item.

    Attributes:
        body: As the protocol shows it.
        words: Of an answer that is spoken: each with where half of it has sounded, in milliseconds.
        sent_ms: How much of its sound the client was sent.
        messages: The client's own, as they stand in the history, a call with its result; empty: it was said here.
        heard: What was understood of the user's speech.
        awaits_output: Whether it is a call that was made elsewhere, and whose result the client has not told.
        n_chars: Of what it holds, when it was last weighed.
    """

    body: dict[str, Any]
    words: list[tuple[str, int]] = field(default_factory=list)
    sent_ms: int = 0
    messages: tuple[Message, ...] = ()
    heard: str = ""
    awaits_output: bool = False
    n_chars: int = 0

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def text(self) -> str:
        """What was said or written."""
        if self.heard:
            return self.heard
        parts = self.body.get("content") or ()
        return " ".join(str(part.get("transcript") or part.get("text") or "") for part in parts).strip()

    def weigh(self) -> int:
        """How many characters it has grown by since it was last weighed; what holds them counts, too."""
        parts = self.body.get("content") or ()
        held = (self.id, self.text, *(str(self.body.get(key) or "") for key in ("output", "arguments")))
        before, self.n_chars = self.n_chars, sum(map(len, held)) + PART_CHARS * (1 + len(parts))
        return self.n_chars - before


class Items:
    """Them, as many and as long as a history may be; beyond that the oldest go, what a system has said last.

    Args:
        send: Sends an event.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._items: list[Item] = []
        self._n_chars = 0
        self._gone: list[Message] = []

    @property
    def last_id(self) -> str | None:
        """The last one's id."""
        return self._items[-1].id if self._items else None

    def find(self, item_id: object, param: str = "item_id") -> Item:
        """The item of an id that a client sent.

        Raises:
            RealtimeProblem: There is none.
        """
        for item in self._items:
            if item.id == item_id:
                return item
        raise RealtimeProblem(f"there is no item {str(item_id)[:60]!r}", code="item_not_found", param=param)

    def has(self, item_id: object) -> bool:
        """Whether there is an item of that id."""
        return any(item.id == item_id for item in self._items)

    def add(self, item: Item, after: str | None = None, *, done: bool = True) -> None:
        """Put it into the conversation, and tell the client.

        Args:
            item: A new one.
            after: The id that it follows, `root` for the beginning; None: the end.
            done: Whether it is complete.

        Raises:
            RealtimeProblem: There is no such item to follow.
        """
        at = len(self._items)
        if after is not None:
            at = 0 if after == ROOT else self._items.index(self.find(after, "previous_item_id")) + 1
        previous = self._items[at - 1].id if at else None
        self._items.insert(at, item)
        self._n_chars += item.weigh()
        self._make_room(item)
        self._send("conversation.item.added", previous_item_id=previous, item=item.body)
        if done:
            self.done(item)

    def done(self, item: Item) -> None:
        """It is complete."""
        self.weigh(item)
        at = self._items.index(item) if item in self._items else 0
        previous = self._items[at - 1].id if at else None
        self._send("conversation.item.done", previous_item_id=previous, item=item.body)

    def weigh(self, item: Item) -> None:
        """It holds more than it did: others make room for it; nothing happens where it has gone itself."""
        if item in self._items:
            self._n_chars += item.weigh()
            self._make_room(item)

    def following(self, item: Item) -> list[Item]:
        """Those after it, in order."""
        return self._items[self._items.index(item) + 1 :]

    def all(self) -> list[Item]:
        """All of them, in order."""
        return list(self._items)

    def tell(self, item: Item) -> None:
        """The client asked for it."""
        self._send("conversation.item.retrieved", item=item.body)

    def truncate(self, item: Item, heard: list[str], end_ms: int) -> None:
        """Of an answer no more than these words was heard; tell the client."""
        item.words = item.words[: len(heard)]
        item.body["content"] = [{"type": "output_audio", "transcript": " ".join(heard)}]
        self._send("conversation.item.truncated", item_id=item.id, content_index=0, audio_end_ms=end_ms)

    def delete(self, item: Item) -> None:
        """Take it out, and tell the client."""
        self._remove(item)
        self._send("conversation.item.deleted", item_id=item.id)

    def call(self, call_id: object) -> Item | None:
        """The call of that id, made here or elsewhere."""
        calls = (item for item in self._items if item.body.get("type") == "function_call")
        return next((item for item in calls if item.body.get("call_id") == call_id), None)

    def take_gone(self) -> list[Message]:
        """The client's own messages whose items went to make room, and that may stand in the history yet."""
        gone, self._gone = self._gone, []
        return gone

    def _make_room(self, newest: Item) -> None:
        while len(self._items) > MAX_ITEMS or self._n_chars > MAX_CHARS:
            others = (item for item in self._items if item is not newest)
            oldest = next((item for item in others if item.body.get("role") != "system"), None)
            oldest = oldest or next((item for item in self._items if item is not newest), None)
            if oldest is None:
                return
            self._remove(oldest)
            self._gone += oldest.messages

    def _remove(self, item: Item) -> None:
        self._items.remove(item)
        self._n_chars -= item.n_chars


def heard_until(item: Item, end_ms: int) -> list[str]:
    """The words of an answer of which half had sounded by then."""
    return [word for word, middle_ms in item.words if middle_ms <= end_ms]
