"""The timers of every user of this program, each in a book of its own."""

import hashlib
from pathlib import Path

from agent.tools.timers import TimerBook

# Who sets one timer after the other under new names is forgotten, the oldest first, but for those that are listened to.
MAX_BOOKS = 256


class TimerBooks:
    """Gives each user a book, for as long as something stands in it or somebody listens.

    Args:
        folder: Where they are kept; None: in memory alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._books: dict[tuple[str, ...], TimerBook] = {}

    def __len__(self) -> int:
        return len(self._books)

    def of(self, owner: tuple[str, ...]) -> TimerBook:
        """The book of that user.

        Args:
            owner: What tells users apart.
        """
        self._forget()
        if owner not in self._books:
            path = None
            if self._folder:
                # An owner is an address or a token: no name for a file.
                path = self._folder / f"{hashlib.sha256(repr(owner).encode()).hexdigest()[:16]}.json"
            self._books[owner] = TimerBook(path)
        return self._books[owner]

    async def close(self) -> None:
        """Wait for nothing more; what is kept on disk stays."""
        for book in self._books.values():
            await book.close()

    def _forget(self) -> None:
        idle = [owner for owner, book in self._books.items() if not book.changed]
        empty = [owner for owner in idle if not self._books[owner].pending() and not self._books[owner].missed]
        for owner in empty or idle[: max(0, len(self._books) - MAX_BOOKS)]:
            self._books.pop(owner).stop()
