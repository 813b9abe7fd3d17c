"""Histories of conversations: kept in memory for a while, so that speech and typing can go on where they stopped.

In:  an id that a client was given, or none.   Out: the history of that conversation, or a new one.

Each owner has room for some, and a new one of his makes him lose his own oldest. Where all owners together have too
many, one of those goes who have most.

HistoryInUseError    a call or a typed question holds the conversation already
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage, standard_message_text

from agent.errors import SottoError
from agent.own_names import own_name
from processors.llm.history import is_summary, within
from processors.llm.pictures import picture_chars
from processors.llm.routing import without_images

ID_BYTES = 24
# Of one owner, and of all; so many characters of text are held of all that are idle.
MAX_HISTORIES = 64
MAX_HISTORIES_IN_ALL = 1024
MAX_CHARS_IN_ALL = 64_000_000
MAX_AGE_SECS = 30 * 60.0
# Of one history, between uses; about ten hours of talk. Nothing else bounds what a model sees only the end of.
MAX_CHARS = 400_000

# Whose a conversation is: first the group that an owner belongs to, such as his address, then what tells him apart.
Owner = tuple[str, ...]
NOBODY: Owner = ("",)
Use = Literal["call", "question"]
IN_USE = {"call": "this conversation is in a call", "question": "a typed question of this conversation is unanswered"}


class HistoryInUseError(SottoError):
    """A call or a typed question holds the conversation already."""


@dataclass(eq=False)
class History:
    """What one conversation has said so far.

    Attributes:
        id: Names it to clients; nobody can guess it.
        context: The messages, as the language model gets them.
        used_by: What holds it now, if anything.
        used_secs: When it was last opened, held or let go of, on the clock of its `Histories`.
        owner: Whose room it takes up.
        n_chars: Of its text and pictures, when it was last let go of.
        name: What its owner calls it, if he names his conversations himself.
    """

    id: str
    context: LLMContext = field(default_factory=LLMContext)
    used_by: Use | None = None
    used_secs: float = 0.0
    owner: Owner = NOBODY
    n_chars: int = 0
    name: str | None = None

    @property
    def in_call(self) -> bool:
        """Whether a call goes on in it."""
        return self.used_by == "call"

    @property
    def has_notes(self) -> bool:
        """Whether older turns of it are notes, and not told as turns any more."""
        return any(map(is_summary, self.context.messages))

    def hide_pictures(self) -> None:
        """Have the model see none of its pictures: of each a word stays."""
        self.context.set_messages(without_images(self.context.messages))

    def turns(self) -> list[dict[str, str]]:
        """What both said, in order, as `{"role": "user" | "assistant", "text"}`; no tools, no instructions."""
        turns: list[dict[str, str]] = []
        for message in self.context.messages:
            role = message.get("role") if isinstance(message, dict) else None
            text = standard_message_text(message) if role in ("user", "assistant") else ""
            if role and text:
                turns.append({"role": role, "text": text})
        return turns


class Histories:
    """The histories of all conversations, few and not for long.

    Args:
        max_histories: Of one owner. For one more, his that was used longest ago is forgotten; never one that is in use,
            so that there may be more of them for as long as all are.
        max_in_all: Of all owners. For one more, of those who have most one is forgotten.
        max_age_secs: One that was not used for so long is forgotten.
        clock: Gives seconds.
    """

    def __init__(
        self,
        *,
        max_histories: int = MAX_HISTORIES,
        max_in_all: int = MAX_HISTORIES_IN_ALL,
        max_age_secs: float = MAX_AGE_SECS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_histories = max_histories
        self._max_in_all = max_in_all
        self._max_age_secs = max_age_secs
        self._clock = clock
        self._histories: dict[str, History] = {}

    def __len__(self) -> int:
        self.expire()
        return len(self._histories)

    def find(self, conversation: object) -> History | None:
        """The history of that id; None if there is none, or the id is no text."""
        self.expire()
        return self._histories.get(conversation) if isinstance(conversation, str) else None

    def open(self, conversation: object = None, owner: Owner = NOBODY) -> History:
        """The history of that id, or a new one where there is none; it counts as used now.

        Args:
            conversation: What a client sent: an id, or anything at all.
            owner: Whose a new one is; an old one stays whose it was.
        """
        history = self.find(conversation)
        if history is None:
            self._make_room(owner)
            history = History(own_name(lambda: secrets.token_urlsafe(ID_BYTES)), owner=owner)
            self._histories[history.id] = history
        history.used_secs = self._clock()
        return history

    def restore(self, conversation: str, owner: Owner, messages: Sequence[LLMContextMessage]) -> History:
        """The history of that id; where the server has let go of it, anew out of what was kept. It counts as used now.

        Args:
            conversation: An id that this server has given once; the caller knows that it may be opened.
            owner: Whose it is from now on, where it is made anew.
            messages: What was said in it.
        """
        history = self.find(conversation)
        if history is None:
            self._make_room(owner)
            history = History(conversation, LLMContext(within(messages, MAX_CHARS)), owner=owner)
            history.n_chars = _n_chars(history.context)
            self._histories[history.id] = history
        history.used_secs = self._clock()
        return history

    def begin_anew(self, history: History) -> History:
        """A new history in place of one that is held: held, too, with the live context, which is still to be emptied.

        The old one has what was said, and is free. Where nothing was said there is nothing to begin anew: the same one.

        Args:
            history: Held.
        """
        if not history.context.messages or history.used_by is None:
            return history
        new = self.open(owner=history.owner)
        new.context, history.context = history.context, LLMContext(list(history.context.messages))
        self.hold(new, history.used_by)
        self.release(history)
        return new

    def named(self, name: str, owner: Owner) -> History:
        """The history that an owner calls so, or a new one of his; it counts as used now.

        Args:
            name: Chosen by a client, such as Home Assistant's conversation_id; what others call so is another.
            owner: Whose.
        """
        self.expire()
        known = (one.id for one in self._histories.values() if one.owner == owner and one.name == name)
        history = self.open(next(known, None), owner)
        history.name = name
        return history

    def hold(self, history: History, use: Use) -> None:
        """Keep everyone else from it, until `release`.

        Raises:
            HistoryInUseError: It is held already.
        """
        if history.used_by:
            raise HistoryInUseError(f"{IN_USE[history.used_by]}; end that first, or begin a new conversation")
        history.used_by, history.used_secs = use, self._clock()

    def release(self, history: History) -> None:
        """End what `hold` began; the oldest turns of a very long history go, and the middle of an enormous turn.

        Its tools were the call's: the next one brings its own.
        """
        history.used_by, history.used_secs = None, self._clock()
        history.context.set_tools()
        history.context.set_messages(within(history.context.messages, MAX_CHARS))
        history.n_chars = _n_chars(history.context)

    @contextmanager
    def held(self, history: History, use: Use) -> Iterator[History]:
        """`hold` and `release` around a block.

        Raises:
            HistoryInUseError: It is held already.
        """
        self.hold(history, use)
        try:
            yield history
        finally:
            self.release(history)

    def forget(self, conversation: object) -> bool:
        """Let go of a history for good.

        Returns:
            Whether there was one of that id.

        Raises:
            HistoryInUseError: It is held.
        """
        history = self.find(conversation)
        if history is None:
            return False
        if history.used_by:
            raise HistoryInUseError(f"{IN_USE[history.used_by]}; end that first")
        del self._histories[history.id]
        return True

    def expire(self) -> None:
        """Forget what is too old; all other methods do so first."""
        oldest_secs = self._clock() - self._max_age_secs
        for history in self._idle():
            if history.used_secs < oldest_secs:
                del self._histories[history.id]

    def _make_room(self, owner: Owner) -> None:
        own = [history for history in self._histories.values() if history.owner == owner]
        too_many = len(own) + 1 - self._max_histories
        idle = sorted((history for history in own if not history.used_by), key=lambda history: history.used_secs)
        for history in idle[: max(0, too_many)]:
            del self._histories[history.id]
        while self._are_too_many() and (idle := self._idle()):
            groups, owners = Counter(one.owner[0] for one in idle), Counter(one.owner for one in idle)
            # Of the group that has most, the owner who has most, his oldest.
            last = min(idle, key=lambda one: (-groups[one.owner[0]], -owners[one.owner], one.used_secs))
            del self._histories[last.id]

    def _are_too_many(self) -> bool:
        n_chars = sum(history.n_chars for history in self._histories.values())
        return len(self._histories) >= self._max_in_all or n_chars > MAX_CHARS_IN_ALL

    def _idle(self) -> list[History]:
        return [history for history in self._histories.values() if not history.used_by]


def _n_chars(context: LLMContext) -> int:
    return sum(len(standard_message_text(message)) + picture_chars(message) for message in context.messages)
