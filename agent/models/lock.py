"""A lock file that one process at a time can hold.

In:  a path.   Out: the right to go on, or the holder's process id.

The system lets go of the lock when its holder dies, so that a file left behind never bars anyone.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LockHeldError(Exception):
    """Another process holds the lock.

    Attributes:
        pid: The holder's process id as text, `unknown` where it has not written it yet.
    """

    def __init__(self, pid: str) -> None:
        super().__init__(f"held by process {pid}")
        self.pid = pid


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock for the length of the block, without waiting for it; the file stays behind.

    Raises:
        LockHeldError: Another process, or another thread of this one, holds it.
        OSError: The file cannot be opened or written.
    """
    with path.open("a+", encoding="ascii", errors="replace") as lock:
        if not _try_lock(lock.fileno()):
            lock.seek(0)
            raise LockHeldError(lock.read(20).strip() or "unknown")
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 1 << 16, os.SEEK_SET)  # far from the pid: a locked byte cannot be read
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
