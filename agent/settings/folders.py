"""Folders that a setting names."""

import stat
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator


def read_folder(value: Any, *, beside: Path = Path()) -> Any:
    """A folder, or a place where one can be made; no text stands for none, not for the folder where sotto runs.

    Args:
        value: As it was written; `~` is a home.
        beside: What a path that is not absolute starts from.

    Raises:
        ValueError: It can be no folder; the message tells why.
    """
    if not isinstance(value, str | Path) or not str(value).strip():
        return None if isinstance(value, str) else value
    try:
        folder = beside / Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError(f"it cannot be a folder: {error}") from None
    try:
        if stat.S_ISDIR(folder.stat().st_mode):
            return folder
    except FileNotFoundError:
        return folder
    except (OSError, ValueError) as error:
        raise ValueError(f"it cannot be a folder: {getattr(error, 'strerror', None) or error}") from None
    raise ValueError("there is a file of that name, not a folder; name another one")


FolderOrNone = Annotated[Path | None, BeforeValidator(read_folder)]
