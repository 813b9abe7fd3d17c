"""How far text-to-speech is ahead of the loudspeaker: it makes no more speech than will be heard before long.

In:  what is made (by the text-to-speech service), what is played (by the playout gate).   Out: when to go on.
"""

import asyncio

# Enough for every sentence to follow the one before it; a minute of speech would be 3 MB, and in frames of 10 ms more.
MOST_SECS = 10.0


class SpeechAhead:
    """One conversation's speech that has been made and not been played.

    Args:
        most_secs: With so much at hand, no further text is begun.
    """

    def __init__(self, most_secs: float = MOST_SECS) -> None:
        self._most_secs = most_secs
        self._secs = 0.0
        self._changed = asyncio.Event()

    @property
    def secs(self) -> float:
        """Seconds at hand."""
        return self._secs

    def make(self, secs: float) -> None:
        """So much has been made."""
        self._secs = max(0.0, self._secs) + secs

    def play(self, secs: float) -> None:
        """So much has been played."""
        # What is played without having been made here, such as a soft sound, is not owed later.
        self._secs = max(0.0, self._secs - secs)
        self._changed.set()

    def cut(self) -> None:
        """All of it is thrown away."""
        self._secs = 0.0
        self._changed.set()

    async def has_room(self, within_secs: float) -> bool:
        """Wait until more may be made.

        Args:
            within_secs: How long at most.

        Returns:
            Whether it may.
        """
        try:
            async with asyncio.timeout(within_secs):
                while self._secs >= self._most_secs:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True
