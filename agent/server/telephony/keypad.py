"""Keys that a caller presses, joined into what the agent is told of them.

In:  one key at a time.   Out: "I pressed 1 2 3 on the keypad." once no further one comes, or at #.
"""

import asyncio
from collections.abc import Awaitable, Callable

PAUSE_SECS = 2.0
MAX_KEYS = 32
END = "#"
WORDS = "I pressed {keys} on the keypad."


class Keypad:
    """One caller's.

    Args:
        tell: Told of the keys, in words.
    """

    def __init__(self, tell: Callable[[str], Awaitable[None]]) -> None:
        self._tell = tell
        self._keys = ""
        self._waiting: asyncio.Task[None] | None = None

    def press(self, key: str) -> None:
        """Take one key."""
        if key != END:
            self._keys += key
        is_whole = key == END or len(self._keys) >= MAX_KEYS
        self.close()
        self._waiting = asyncio.create_task(self._tell_after(0.0 if is_whole else PAUSE_SECS), name="keypad")

    def close(self) -> None:
        """Wait for no further one."""
        if self._waiting:
            self._waiting.cancel()

    async def _tell_after(self, secs: float) -> None:
        await asyncio.sleep(secs)
        self._waiting = None
        keys, self._keys = self._keys, ""
        if keys:
            await self._tell(WORDS.format(keys=" ".join(keys)))
