"""The memory of this program: one file, and one thread that works on it, beside the event loop.

In:  work on the store.   Out: its result, awaited. Works are done one after the other, in the order in which they come.
"""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from agent.memory.store import MemoryStore
from agent.settings.load import Settings, data_folder

FILE = "memory.sqlite3"
# Whose memory that is which the desktop and recordings have, and callers who show the token.
YOURS = "you"

Result = TypeVar("Result")


class Memory:
    """What is remembered of everybody.

    Args:
        store: Where it is.
        keeps_turns: Whether conversations are kept, too.

    Attributes:
        keeps_turns: The same.
    """

    def __init__(self, store: MemoryStore, *, keeps_turns: bool = False) -> None:
        self.keeps_turns = keeps_turns
        self._store = store
        self._thread = ThreadPoolExecutor(1, "memory")

    async def ask(self, work: Callable[[MemoryStore], Result]) -> Result:
        """Have something done, and wait for it; it is done also when nobody waits any more.

        Args:
            work: Done in the memory's thread.

        Raises:
            MemoryFailure: It could not be done; nothing was changed.
        """
        return await asyncio.shield(asyncio.wrap_future(self.tell(work)))

    def tell(self, work: Callable[[MemoryStore], Result]) -> "Future[Result]":
        """Have something done later; from the event loop.

        Args:
            work: Done in the memory's thread.
        """
        return self._thread.submit(work, self._store)

    def n_emptied(self, owner: str) -> int:
        """How often everything of an owner was forgotten."""
        return self._store.n_emptied(owner)

    async def close(self) -> None:
        """Finish what is to be done, and let go of the file."""
        await asyncio.wrap_future(self.tell(MemoryStore.close))
        await asyncio.to_thread(functools.partial(self._thread.shutdown, wait=True))


def memory_path() -> Path:
    """Where this user's memory is, if there is any."""
    return data_folder() / "memory" / FILE


def memory_of(settings: Settings) -> Memory | None:
    """The memory as settings allow it; None where it is off. Nothing is written yet.

    Args:
        settings: Of the program.
    """
    wanted = settings.memory
    return Memory(MemoryStore(memory_path()), keeps_turns=wanted.conversations) if wanted.keep else None
