"""What is refused is told in the log, but a flood of it in one line a minute.

In:  what was refused, and why.   Out: a warning, or none; the next one says how many were passed over.
"""

import time

from loguru import logger

LOG_SECS = 60.0


class Refusals:
    """Those of all lines."""

    def __init__(self) -> None:
        self._told_secs: dict[str, float] = {}
        self._n_untold: dict[str, int] = {}

    def tell(self, what: str, why: str) -> None:
        """Tell of one, unless another of its kind was told of within the last minute.

        Args:
            what: Its kind, of which there are few: nothing in it comes from a caller.
            why: The newest reason.
        """
        now_secs = time.monotonic()
        if now_secs - self._told_secs.get(what, float("-inf")) < LOG_SECS:
            self._n_untold[what] = self._n_untold.get(what, 0) + 1
            return
        self._told_secs[what] = now_secs
        n_untold = self._n_untold.pop(what, 0)
        more = f" ({n_untold} more before it)" if n_untold else ""
        logger.warning(f"{what}: {why}{more}")
