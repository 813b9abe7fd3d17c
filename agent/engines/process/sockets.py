"""Where the socket of the engine process lies: in a folder that nobody else may look into."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PRIVATE = 0o700
# Followed by the number of the process whose it is.
PREFIX = "sotto-engines-"
# A socket's address may have 104 bytes on macOS, 108 on Linux.
MAX_ADDRESS_BYTES = 100
ANSWER_SECS = 1.0


@contextmanager
def socket_folder() -> Iterator[Path]:
    """A new folder with mode 0700, which is gone afterwards; those of programs that were killed go first."""
    # macOS's own temporary folder has a long name.
    short = Path("/tmp")  # noqa: S108 - mkdtemp makes a folder of nobody else's in it
    usual = Path(tempfile.gettempdir())
    is_long = len(str(usual).encode()) > MAX_ADDRESS_BYTES // 2
    parent = short if is_long and short.is_dir() else usual
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
    try:
        folder.chmod(PRIVATE)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Delete what programs that were killed have left behind."""
    if os.name != "posix":
        return
    for folder in parent.glob(f"{PREFIX}*-*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        # Another that starts just now may delete it first.
        with suppress(FileNotFoundError):
            is_left = pid.isdigit() and folder.stat().st_uid == os.getuid() and not psutil.pid_exists(int(pid))
            if is_left and not _is_answered(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_answered(folder: Path) -> bool:
    """Whether somebody listens there: containers that share a folder do not see one another's processes."""
    for path in folder.iterdir():
        with suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(ANSWER_SECS)
            asking.connect(str(path))
            return True
    return False
