"""Keeps a conversation: what the user said, and what of the answers was heard or read.

In:  the conversation's events.   Out: items in the memory, as each answer ends.

Not kept: words that bridge a wait; an answer that tells what was recalled, for it would seem to be said anew; a turn
that asks to forget something; and the rest of one that goes on while its fact, or everything, is deleted.

What cannot be written waits in memory, is told once, and is written with what follows.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from agent.memory.database import MemoryFailure
from agent.memory.item import MAX_TURN_CHARS, Item, Kind
from agent.memory.store import MemoryStore
from agent.memory.tools import FORGET, RECALL
from agent.memory.user_memory import Event, UserMemory
from processors.llm.turn_point import TurnPoint

MAX_WAITING = 1_000


def keep_written(
    mine: UserMemory, question: str, answer: str, report: Callable[[str], None], called: Sequence[str] = ()
) -> None:
    """Keep a question that was typed outside of a call, with what was sent of its answer, if turns are kept.

    Args:
        mine: Whose memory.
        question: What was typed.
        answer: What was sent of its answer.
        report: Told in one line, on the thread of the memory, that it cannot be written.
        called: Names of the tools that were called for it.
    """
    turns = Turns(mine, report)
    calls = [{"event": "tool_call", "name": name} for name in called]
    for event in ({"event": "turn_ended", "text": question}, *calls, {"event": "reply_text", "text": answer}):
        turns.note(event)
    turns.note({"event": "session_ended"})


@dataclass(frozen=True)
class _Side:
    """One side of a turn, on its way into the memory.

    Attributes:
        item: What is to be kept.
        n_emptied: How often everything had been forgotten when its turn began.
        facts: Those that were kept in its turn: it is kept only beside them.
    """

    item: Item
    n_emptied: int
    facts: Sequence[Item]

    def is_wanted(self, store: MemoryStore) -> bool:
        """Whether nothing of its turn was deleted or changed meanwhile."""
        return store.n_emptied(self.item.owner) == self.n_emptied and all(map(store.holds, self.facts))


class Turns:
    """The turns of one conversation, in a user's memory.

    Args:
        mine: Whose memory.
        report: Told in one line, on the thread of the memory, that it cannot be written.
    """

    def __init__(self, mine: UserMemory, report: Callable[[str], None]) -> None:
        self._mine = mine
        self._report = report
        self._keeps = mine.memory.keeps_turns
        self._user: Item | None = None
        self._heard: list[str] = []
        self._n_fillers = 0
        self._answered = False
        self._calls: set[str] = set()
        self._n_emptied = mine.memory.n_emptied(mine.owner)
        # Touched by the memory's thread alone.
        self._waiting: deque[_Side] = deque(maxlen=MAX_WAITING)
        self._is_failing = False

    def note(self, event: Event) -> None:
        """Follow the conversation.

        Args:
            event: Any of it.
        """
        match event["event"]:
            case "turn_started":
                if self._answered:
                    self._flush()
                    self._answered, self._calls = False, set()
                    self._mine.begin_turn()
                    self._n_emptied = self._mine.memory.n_emptied(self._mine.owner)
            case "turn_ended":
                if self._user and self._answered:
                    # An interpreter says a sentence still while the next one ends.
                    self._keep([self._user])
                self._user = self._item("user", event["text"])
            case "latency":
                self._answered = True
            case "filler":
                self._n_fillers += len(event["text"].split())
            case "bot_word" if self._n_fillers:
                self._n_fillers -= 1
            case "bot_word":
                self._heard.append(f" {event['text']}")
            case "error" if event["stage"] == "llm" and not event.get("speculative"):
                # No answer comes: what is said next adds to nothing.
                self._answered = True
            case "reply_text":
                self._answered = True
                self._heard.append(event["text"])
            case "tool_call":
                self._note_call(event["name"])
            case "bot_stopped_speaking" if self._heard:
                self._flush()
            case "went_back":
                self._go_back(TurnPoint(event["text"], event["later"]), taken=event["taken"])
            case "started_over":
                self._go_to(event.get("conversation") or self._mine.here)
            case "session_ended":
                self._flush()
            case _:
                pass

    def _note_call(self, name: str) -> None:
        self._calls.add(name)
        if name == FORGET and self._keeps:
            self._user = None
            turn = self._mine.turn
            self._tell(lambda store: self._drop(store, turn))

    def _go_back(self, point: TurnPoint, *, taken: bool) -> None:
        """What was kept from that turn on goes, and what waits to be kept of it."""
        self._flush()
        self._answered = True
        if self._keeps:
            mine, here = self._mine, self._mine.here
            self._tell(lambda store: store.forget_from(mine.owner, here, point, taken=taken))

    def _go_to(self, conversation: str) -> None:
        """What was said stays the old conversation's; what is said from now on is this one's."""
        self._flush()
        if conversation != self._mine.here:
            self._mine.go_to(conversation)
            self._answered, self._calls = False, set()
            self._n_emptied = self._mine.memory.n_emptied(self._mine.owner)

    def _flush(self) -> None:
        words, self._heard, self._n_fillers = "".join(self._heard).strip(), [], 0
        user, self._user = self._user, None
        items = [user] if user else []
        if words and RECALL not in self._calls:
            items.append(self._item("agent", words))
        self._keep(items)

    def _keep(self, items: Sequence[Item]) -> None:
        if items and self._keeps and FORGET not in self._calls:
            sides = [_Side(item, self._n_emptied, tuple(self._mine.facts)) for item in items]
            self._tell(lambda store: self._write(store, sides))

    def _item(self, kind: Kind, text: str) -> Item:
        mine = self._mine
        return Item(mine.owner, kind, text[:MAX_TURN_CHARS], mine.now_secs(), mine.conversation, mine.turn)

    def _write(self, store: MemoryStore, sides: Sequence[_Side]) -> None:
        self._waiting += sides
        unwanted = {side.item.turn for side in self._waiting if not side.is_wanted(store)}
        store.add([side.item for side in self._waiting if side.item.turn not in unwanted])
        self._waiting.clear()

    def _drop(self, store: MemoryStore, turn: int) -> None:
        """What was kept of a turn before its call."""
        waiting = [side for side in self._waiting if side.item.turn != turn]
        self._waiting.clear()
        self._waiting += waiting
        store.forget_turn(self._mine.owner, self._mine.conversation, turn)

    def _tell(self, work: Callable[[MemoryStore], None]) -> None:
        self._mine.memory.tell(work).add_done_callback(self._look)

    def _look(self, done: "Future[None]") -> None:
        error = done.exception()
        if error is not None and not self._is_failing:
            self._report(str(error) if isinstance(error, MemoryFailure) else f"memory failed: {error!r}"[:300])
        self._is_failing = error is not None
