"""When a server that is not there is tried again: soon, then less and less often.

In:  how long it was there.   Out: how long to wait.
"""

from collections.abc import Sequence

RETRY_SECS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
# Whoever was there for so long begins anew; who greets and dies at once has not been there.
STAYS_SECS = 60.0


class Retries:
    """Of one server.

    Args:
        waits_secs: How long to wait after the first failure, the second and so on; the last one stays.
    """

    def __init__(self, waits_secs: Sequence[float] = RETRY_SECS) -> None:
        self._waits_secs = waits_secs
        self._n_failures = 0

    def wait_secs(self, stayed_secs: float) -> float:
        """How long to wait before it is tried again.

        Args:
            stayed_secs: How long it was there; 0 where it did not come.
        """
        if stayed_secs >= STAYS_SECS:
            self.begin_anew()
        wait_secs = self._waits_secs[min(self._n_failures, len(self._waits_secs) - 1)]
        self._n_failures += 1
        return wait_secs

    def begin_anew(self) -> None:
        """It does its work again."""
        self._n_failures = 0
