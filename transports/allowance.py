"""What one client may send: so much a second, and some of it at once."""

import time


class Allowance:
    """Counts what has come.

    Args:
        rate: How much may come a second.
        burst: How much at once, where nothing came for a while.

    Attributes:
        is_exceeded: Whether it was ever too much.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = self._left = burst
        self._since_secs = time.monotonic()
        self.is_exceeded = False

    def take(self, amount: float) -> bool:
        """Take so much.

        Args:
            amount: In the unit of both.

        Returns:
            False if that was too much.
        """
        now_secs = time.monotonic()
        self._left = min(self._burst, self._left + (now_secs - self._since_secs) * self._rate) - amount
        self._since_secs = now_secs
        if self._left < 0:
            self.is_exceeded = True
            return False
        return True
