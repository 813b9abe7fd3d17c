"""Where the socket of the engine process lies: in a folder that nobody else may look into."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE = 0o700
# A socket's address may have 104 bytes on macOS, 108 on Linux.
MAX_ADDRESS_BYTES = 100


@contextmanager
def socket_folder() -> Iterator[Path]:
    """A new folder with mode 0700, which is gone afterwards."""
    # macOS's own temporary folder has a long name.
    short = Path("/tmp")  # noqa: S108 - mkdtemp makes a folder of nobody else's in it
    usual = Path(tempfile.gettempdir())
    is_long = len(str(usual).encode()) > MAX_ADDRESS_BYTES // 2
    folder = Path(tempfile.mkdtemp(prefix="sotto-", dir=short if is_long and short.is_dir() else usual))
    try:
        folder.chmod(PRIVATE)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
