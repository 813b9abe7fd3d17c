"""How many files and connections this process may have open, raised as far as it may be without asking.

In:  nothing.   Out: limits in descriptors. Windows has no such limit worth the name, and no `resource`.
"""

import os
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None

# More than a server of ours ever needs; macOS refuses a limit beyond its own OPEN_MAX, which is larger.
WANTED = 4096
# What models, pipes of their processes, logs and downloads may open besides, and each call: sockets and a recording.
RESERVED = 48
RESERVED_A_CALL = 12
MOST_PLACES = 512
FEWEST_PLACES = 16
# On systems that do not list what is open.
TYPICALLY_OPEN = 32


def raise_limit() -> int | None:
    """Raise the soft limit on open descriptors as far as it is of use.

    Returns:
        The limit from now on; None where there is none.
    """
    if resource is None:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):
        return soft
    return wanted


def n_open() -> int:
    """How many descriptors are open now, roughly."""
    for listing in ("/proc/self/fd", "/dev/fd"):
        if Path(listing).is_dir():
            return len(os.listdir(listing))
    return TYPICALLY_OPEN


def places_within(limit: int | None, max_calls: int) -> int:
    """How many connections may be open at a time so that calls, models and the log still get their descriptors.

    Args:
        limit: Of open descriptors; None for none.
        max_calls: As many calls there may be.
    """
    if limit is None:
        return MOST_PLACES
    left = limit - n_open() - RESERVED - RESERVED_A_CALL * max_calls
    return max(FEWEST_PLACES, min(MOST_PLACES, left))
