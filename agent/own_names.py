"""Names that nobody can guess, and that tell which of a server's processes has what they name.

In:  how a name is made.   Out: a name whose checksum belongs to this process.

A server of one process owns every name. Of several, each makes names until one is its own, so that whoever is shown a
name knows whom to ask, and nothing about that stands in it.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class _Here:
    number: int = 0
    of: int = 1


_here = _Here()


def settle(number: int, of: int) -> None:
    """Say which process this is; names that were made before are no longer its own.

    Args:
        number: From 0.
        of: How many there are.
    """
    _here.number, _here.of = number, of


def home_of(name: str, of: int) -> int:
    """The number of the process that a name belongs to.

    Args:
        name: Anything that a caller sent.
        of: How many processes there are.
    """
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) % of


def own_name(make: Callable[[], str]) -> str:
    """A name that belongs to this process.

    Args:
        make: Makes one at random.
    """
    while home_of(name := make(), _here.of) != _here.number:
        pass
    return name
