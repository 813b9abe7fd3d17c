"""Folders that a setting names."""

import os
import stat
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

# Of the system, whose files are no documents.
SYSTEM = tuple(Path(name) for name in ("/proc", "/sys"))


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
        place = Path(os.path.realpath(folder))
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError:
        return folder
    except (OSError, ValueError) as error:
        raise ValueError(f"it cannot be a folder: {getattr(error, 'strerror', None) or error}") from None
    if not is_folder:
        raise ValueError("there is a file of that name, not a folder; name another one")
    if place == Path(place.anchor) or any(place.is_relative_to(one) for one in SYSTEM):
        raise ValueError("it is the whole disk, or the system's own; name a folder of yours")
    return folder


FolderOrNone = Annotated[Path | None, BeforeValidator(read_folder)]
