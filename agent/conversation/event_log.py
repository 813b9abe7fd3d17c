"""The event log: JSON lines sorted by `t`, seconds on the conversation's timeline.

Every line has `t` and `event`; the observer is its only source. Events come a little out of order (an audible sample
is dated by its place in the sound, a decision by the clock), so lines wait a second before they are written.
"""

import heapq
import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from agent.errors import InputError

REORDER_SECS = 1.0

Event = dict[str, Any]


class EventLog:
    """Writes events to a file.

    Args:
        path: The file; what it held is replaced, unless it `goes_on`.
        on_failure: Called once when a line cannot be written, a full disk say; `failure` then tells why.
        goes_on: Whether the lines come behind those that are there.

    Raises:
        InputError: The file cannot be written.
    """

    def __init__(self, path: Path, *, on_failure: Callable[[], None] = lambda: None, goes_on: bool = False) -> None:
        try:
            # Half a character, which a server may have sent, becomes `\udXXX`, as JSON itself escapes it.
            self._file: TextIO = path.open("a" if goes_on else "w", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise InputError(f"event log cannot be written: {path}: {error.strerror}") from error
        self.failure: InputError | None = None
        self._path = path
        self._on_failure = on_failure
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
        # What a full disk did not take is lost already.
        with suppress(OSError):
            self._file.close()

    def _write(self, event: Event) -> None:
        # An event that is later still than the wait allows keeps the order rather than its time.
        self._written_until_secs = max(self._written_until_secs, event["t"])
        line = {**event, "t": round(self._written_until_secs, 4)}
        if self.failure:
            return
        try:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            self.failure = InputError(f"event log cannot be written: {self._path}: {error.strerror}")
            self._on_failure()
