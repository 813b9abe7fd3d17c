"""How long transcripts take here, measured: what the turn strategies may count on."""

from collections import deque

import numpy as np

# Until enough is measured: longer than any engine that keeps up takes.
ASSUMED_SECS = 2.0
MIN_MEASURED = 5
# The machine's load changes; old measurements say little.
KEPT = 100


class TranscriptLatency:
    """The 99th percentile of the time from the end of speech to its transcript."""

    def __init__(self) -> None:
        self._measured_secs: deque[float] = deque(maxlen=KEPT)
        self.p99_secs = ASSUMED_SECS

    def add(self, latency_secs: float) -> bool:
        """Take one measurement.

        Returns:
            Whether the percentile has changed.
        """
        self._measured_secs.append(latency_secs)
        if len(self._measured_secs) < MIN_MEASURED:
            return False
        before, self.p99_secs = self.p99_secs, round(float(np.percentile(self._measured_secs, 99)), 3)
        return self.p99_secs != before
