"""Small files that a user wrote: settings, conversations."""

from pathlib import Path

MAX_BYTES = 1 << 20


def is_file(path: Path) -> bool:
    """Whether it is there; a name that no file can have is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def small_text(path: Path) -> str:
    """The text of a file, without its byte order mark.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no UTF-8, larger than 1 MB, or has a name that no file can have.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 2**20} MB")
    return content.decode("utf-8-sig")
