"""When a server of tools that is not there is tried again: soon, then less and less often.

In:  how long it was there.   Out: how long to wait.
"""

RETRY_SECS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
# Whoever was there for so long begins anew; who greets and dies at once has not been there.
STAYS_SECS = 60.0


class Retries:
    """Of one server."""

    def __init__(self) -> None:
        self._n_failures = 0

    def wait_secs(self, stayed_secs: float) -> float:
        """How long to wait before it is tried again.

        Args:
            stayed_secs: How long it was there; 0 where it did not come.
        """
        if stayed_secs >= STAYS_SECS:
            self._n_failures = 0
        wait_secs = RETRY_SECS[min(self._n_failures, len(RETRY_SECS) - 1)]
        self._n_failures += 1
        return wait_secs
