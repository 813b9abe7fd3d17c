"""The event log: JSON lines sorted by `t`, seconds on the conversation's timeline.

Every line has `t` and `event`; the observer is its only source. Events come a little out of order (an audible sample
is dated by its place in the sound, a decision by the clock), so lines wait a second before they are written.
"""

import heapq
import itertools
import json
from pathlib import Path
from typing import Any, TextIO

from agent.errors import InputError

REORDER_SECS = 1.0

Event = dict[str, Any]


class EventLog:
    """Writes events to a file.

    Args:
        path: The file; what it held is replaced.

    Raises:
        InputError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file: TextIO = path.open("w", encoding="utf-8")
        except OSError as error:
            raise InputError(f"event log cannot be written: {path}: {error.strerror}") from error
        self._waiting: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._written_until_secs = float("-inf")

    def __call__(self, event: Event) -> None:
        """Take one event."""
        heapq.heappush(self._waiting, (event["t"], next(self._order), event))
        while self._waiting and self._waiting[0][0] < event["t"] - REORDER_SECS:
            self._write(heapq.heappop(self._waiting)[2])

    def close(self) -> None:
        """Write what waits and close the file."""
        while self._waiting:
            self._write(heapq.heappop(self._waiting)[2])
        self._file.close()

    def _write(self, event: Event) -> None:
        # An event that is later still than the wait allows keeps the order rather than its time.
        self._written_until_secs = max(self._written_until_secs, event["t"])
        line = {**event, "t": round(self._written_until_secs, 4)}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()
