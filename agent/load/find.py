"""The largest number of calls within the limits: doubled until it is too many, then halved between."""

from collections.abc import Awaitable, Callable


async def largest(most: int, holds: Callable[[int], Awaitable[bool]]) -> int:
    """Find it.

    Args:
        most: No more than this is tried.
        holds: Tries a number; whether it is within the limits.

    Returns:
        The largest that was; 0 if not even one call is.
    """
    good, tried = 0, 1
    while await holds(tried):
        good = tried
        if good == most:
            return good
        tried = min(2 * tried, most)
    bad = tried
    while bad - good > 1:
        middle = (good + bad) // 2
        if await holds(middle):
            good = middle
        else:
            bad = middle
    return good
