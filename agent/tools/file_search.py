"""Which file is meant: by a name as it is said, among the names that there are.

In:  `Café` beside café.txt.   Out: café.txt; a ToolError names what there is.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path

from agent.tools.file_names import caseless, file_name
from agent.tools.tool import ToolError

MAX_NAMED = 5


def closest(names: list[str], said: str, where: str) -> str:
    """The one file that is meant: exactly, else whatever its letters' case and coding, else without its ending.

    Args:
        names: Of those that there are.
        said: Its name, nearly.
        where: Where they are, for the error.

    Raises:
        ToolError: It is none of them, or may be several.
    """
    try:
        clean = file_name(said)
    except ValueError:
        clean = said
    for meant in (said, clean):
        if meant in names:
            return meant
    for key in (caseless, lambda name: caseless(Path(name).stem)):
        found = [name for name in names if key(name) in (key(said), key(clean))]
        if len(found) == 1:
            return found[0]
        if found:
            raise ToolError(f"{said!r} may be {' or '.join(found[:MAX_NAMED])}; say which")
    alike = difflib.get_close_matches(clean, names, MAX_NAMED) or names[:MAX_NAMED]
    there = (
        f"there are {', '.join(alike)}{' and others' if len(names) > len(alike) else ''}" if names else "it is empty"
    )
    raise ToolError(f"there is no file {said!r} {where}; {there}")


def check_is_new(there: Iterable[str], name: str) -> None:
    """A name for a new file is free, also where small and large letters are one, or two codings of an accent.

    Args:
        there: Names of the files that there are.
        name: The new one.

    Raises:
        ToolError: It is taken.
    """
    taken = next((other for other in there if caseless(other) == caseless(name)), None)
    if taken:
        raise ToolError(f"there is already a file {taken}; nothing was changed: add to it, or choose another name")
