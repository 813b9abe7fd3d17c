"""Finals before all else: somebody waits for them, while partials and recordings can wait.

A decoding keeps a core busy; on two cores a partial beside a final makes both late. Whoever decodes something less
urgent asks here before it starts, and again between its steps.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# A recording is not kept waiting for ever by conversations without a pause.
MAX_WAIT_SECS = 2.0


class FinalsFirst:
    """Counts the finals that are being decoded.

    Args:
        threads: CPU threads of one decoding; as many finals leave room for other work as leave a core free.
    """

    def __init__(self, threads: int) -> None:
        cores = os.cpu_count() or 1
        # One core is the event loop's, where there are several.
        self._room_for = max(0, (cores - 1) // max(1, threads) - 1)
        self._running = 0
        self._changed = threading.Condition()

    @contextmanager
    def final(self) -> Iterator[None]:
        """While a final is decoded."""
        with self._changed:
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    @property
    def busy(self) -> bool:
        """Whether less urgent work would make a final late."""
        return self._running > self._room_for

    def wait(self) -> None:
        """Wait until there is room for a recording's next stretch; 2 s at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self.busy, MAX_WAIT_SECS)
