"""Memory for uploads: all that is held of them at a time, counted in bytes, so that many callers cannot fill a machine.

In:  what callers announce and send.   Out: files that give their bytes back when they are closed, or a refusal.
"""

import threading
from io import BytesIO

from agent.server.wire.errors import RETRY_AFTER_SECS, ApiError

MEGABYTE = 2**20


class UploadMemoryError(ApiError):
    """So much is held of other uploads that this one finds no room."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(
            503,
            f"uploads take up the {most_bytes / MEGABYTE:g} MB of memory that they may "
            "(setting server.upload_memory_mb); try again in a moment",
            code="upload_memory",
            headers={"Retry-After": str(RETRY_AFTER_SECS)},
        )


class UploadBudget:
    """Counts; from any thread.

    Args:
        most_bytes: As much may be held at a time.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._n_bytes = 0
        self._lock = threading.Lock()

    @property
    def n_bytes(self) -> int:
        """What is held now, or kept for uploads that have announced it."""
        return self._n_bytes

    def take(self, n_bytes: int) -> None:
        """Count so much as held.

        Raises:
            UploadMemoryError: There is no room for it.
        """
        with self._lock:
            if self._n_bytes + n_bytes > self.most_bytes:
                raise UploadMemoryError(self.most_bytes)
            self._n_bytes += n_bytes

    def give_back(self, n_bytes: int) -> None:
        """Count so much as held no longer."""
        with self._lock:
            self._n_bytes -= n_bytes


class HeldFile(BytesIO):
    """A file in memory within a budget.

    Args:
        budget: Of all uploads.
        n_announced: So many bytes are kept for it from the start; what it does not need is given back by `settle`.

    Raises:
        UploadMemoryError: There is no room for them.
    """

    def __init__(self, budget: UploadBudget, n_announced: int = 0) -> None:
        super().__init__()
        self._budget = budget
        self._n_kept = 0
        self.keep(n_announced)

    def keep(self, n_bytes: int) -> None:
        """Have room for so many bytes in all.

        Raises:
            UploadMemoryError: There is none.
        """
        if n_bytes > self._n_kept:
            self._budget.take(n_bytes - self._n_kept)
            self._n_kept = n_bytes

    def settle(self) -> None:
        """Give back what is kept beyond the file's own size."""
        n_bytes = self.getbuffer().nbytes
        if n_bytes < self._n_kept:
            self._budget.give_back(self._n_kept - n_bytes)
            self._n_kept = n_bytes

    def close(self) -> None:
        """Let go of the bytes; a second time changes nothing."""
        super().close()
        n_kept, self._n_kept = self._n_kept, 0
        self._budget.give_back(n_kept)
