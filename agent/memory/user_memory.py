"""One user's memory in one conversation: what its tools and its turns have to do with.

A turn's number goes up when the user begins to speak after an answer that was heard; so a fact knows the turn in which
it was said, and is forgotten together with it.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from agent.memory.bounds import Bounds
from agent.memory.item import Item
from agent.memory.memory import Memory
from agent.memory.store import MemoryStore

MAX_FOUND = 8
ALL_TURNS = 2**31

Event = Mapping[str, Any]


class UserMemory:
    """Of one user, in one conversation.

    Args:
        memory: Of the program.
        owner: Whose; what tells users apart.
        conversation: The conversation's id.

    Attributes:
        memory: The same.
        owner: The same.
        conversation: The same.
        turn: In which turn the conversation is, from 1.
        facts: Those that were kept in this turn, as they were kept.
        now_secs: Gives the time, in seconds since the epoch.
        n_turns_told: Gives how many of this conversation's earlier turns the model is told of anyway.
    """

    def __init__(self, memory: Memory, owner: str, conversation: str) -> None:
        self.memory = memory
        self.owner = owner
        self.go_to(conversation)
        self.now_secs: Callable[[], float] = time.time
        self.n_turns_told: Callable[[], int] = lambda: ALL_TURNS

    @property
    def here(self) -> str:
        """The conversation's id."""
        return self.conversation.partition("/")[0]

    def go_to(self, conversation: str) -> None:
        """Be in another conversation from now on, at its first turn.

        Args:
            conversation: Its id.
        """
        # One that is gone on with begins anew with its turns.
        self.conversation = f"{conversation}/{time.time_ns():x}"
        self.turn = 1
        self.facts: list[Item] = []

    def begin_turn(self) -> None:
        """The user has begun a turn that adds to none."""
        self.turn += 1
        self.facts = []

    async def remember(self, text: str) -> tuple[Item, bool]:
        """Keep a fact; one that is kept already in these words stays as it is.

        Returns:
            The fact, and whether it is new.

        Raises:
            MemoryFailure: It is not kept.
        """
        fact = Item(self.owner, "fact", text, self.now_secs(), self.conversation, self.turn)

        def keep(store: MemoryStore) -> tuple[Item, bool]:
            if known := store.same(self.owner, text):
                return known, False
            (number,) = store.add([fact])
            return dataclasses.replace(fact, number=number), True

        kept, is_new = await self.memory.ask(keep)
        if is_new and kept.turn == self.turn:
            self.facts.append(kept)
        return kept, is_new

    async def recall(self, about: str, since_secs: float, until_secs: float) -> list[Item]:
        """What is remembered about something, the best first; without words, the latest.

        Turns of this conversation that still stand in its history are left out; what was made shorter is not.

        Args:
            about: Any text.
            since_secs: Said not before, in seconds since the epoch.
            until_secs: Said before.

        Raises:
            MemoryFailure: It cannot be read.
        """
        within = Bounds(since_secs, until_secs, self.here, self.n_turns_told())

        def find(store: MemoryStore) -> list[Item]:
            if about.strip():
                return store.find(self.owner, about, limit=MAX_FOUND, within=within)
            return store.latest(self.owner, limit=MAX_FOUND, within=within)

        return await self.memory.ask(find)

    async def having(self, about: str) -> list[Item]:
        """The facts that have all of these words, the latest first; of many some.

        Raises:
            MemoryFailure: It cannot be read.
        """
        facts = Bounds(facts_alone=True)
        return await self.memory.ask(
            lambda store: store.find(self.owner, about, limit=MAX_FOUND, all_words=True, within=facts)
        )

    async def forget(self, numbers: list[int]) -> int:
        """Delete what has these numbers; how many of them there were.

        Raises:
            MemoryFailure: All of them stay.
        """
        return await self.memory.ask(lambda store: store.forget(self.owner, numbers))

    async def forget_everything(self) -> int:
        """Delete all that is remembered of this user; how much there was.

        Raises:
            MemoryFailure: All of it stays.
        """
        return await self.memory.ask(lambda store: store.forget(self.owner, None))
