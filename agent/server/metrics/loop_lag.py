"""How late the event loop is: a timer that is due four times a second, and how long after that it was woken."""

import asyncio
from collections.abc import Callable

EVERY_SECS = 0.25


async def watch_loop(observe: Callable[[float], None], every_secs: float = EVERY_SECS) -> None:
    """Look for ever.

    Args:
        observe: Is told each time by how many seconds the timer was late.
        every_secs: How often.
    """
    loop = asyncio.get_running_loop()
    while True:
        due_secs = loop.time() + every_secs
        await asyncio.sleep(every_secs)
        observe(max(0.0, loop.time() - due_secs))
