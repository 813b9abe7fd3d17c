"""How soon a worker that has ended is started anew: at once, and later each time that it does not last.

In:  when it began and ended.   Out: seconds to wait. No clock is read here.
"""

# One that lived so long had a reason of its own to end.
LASTING_SECS = 30.0
FIRST_DELAY_SECS = 0.5
MOST_DELAY_SECS = 30.0


class Restarts:
    """Those of one worker.

    Attributes:
        n: How many there were.
    """

    def __init__(self) -> None:
        self.n = 0
        self._n_short = 0

    def delay_secs(self, lived_secs: float) -> float:
        """How long to wait after it has ended.

        Args:
            lived_secs: From its start to its end.
        """
        self.n += 1
        self._n_short = 0 if lived_secs >= LASTING_SECS else self._n_short + 1
        if self._n_short <= 1:
            return 0.0
        return min(MOST_DELAY_SECS, FIRST_DELAY_SECS * 2.0 ** min(self._n_short - 2, 20))
