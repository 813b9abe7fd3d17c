"""Histories of conversations: kept in memory for a while, so that speech and typing can go on where they stopped.

In:  an id that a client was given, or none.   Out: the history of that conversation, or a new one.

HistoryInUseError    a call or a typed question holds the conversation already
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from pipecat.processors.aggregators.llm_context import LLMContext, standard_message_text

from agent.errors import SottoError
from processors.llm.history import within

ID_BYTES = 24
MAX_HISTORIES = 64
MAX_AGE_SECS = 30 * 60.0
# Of one history, between uses; about ten hours of talk. Nothing else bounds what a model sees only the end of.
MAX_CHARS = 400_000

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
    """

    id: str
    context: LLMContext = field(default_factory=LLMContext)
    used_by: Use | None = None
    used_secs: float = 0.0

    @property
    def in_call(self) -> bool:
        """Whether a call goes on in it."""
        return self.used_by == "call"

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
        max_histories: For one more, the one that was used longest ago is forgotten; never one that is in use, so that
            there may be more of them for as long as all are.
        max_age_secs: One that was not used for so long is forgotten.
        clock: Gives seconds.
    """

    def __init__(
        self,
        *,
        max_histories: int = MAX_HISTORIES,
        max_age_secs: float = MAX_AGE_SECS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_histories = max_histories
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

    def open(self, conversation: object = None) -> History:
        """The history of that id, or a new one where there is none; it counts as used now.

        Args:
            conversation: What a client sent: an id, or anything at all.
        """
        history = self.find(conversation)
        if history is None:
            self._make_room()
            history = History(secrets.token_urlsafe(ID_BYTES))
            self._histories[history.id] = history
        history.used_secs = self._clock()
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
        """End what `hold` began; the oldest turns of a very long history go, and the middle of an enormous turn."""
        history.used_by, history.used_secs = None, self._clock()
        history.context.set_messages(within(history.context.messages, MAX_CHARS))

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

    def _make_room(self) -> None:
        too_many = len(self._histories) + 1 - self._max_histories
        for history in sorted(self._idle(), key=lambda history: history.used_secs)[: max(0, too_many)]:
            del self._histories[history.id]

    def _idle(self) -> list[History]:
        return [history for history in self._histories.values() if not history.used_by]
