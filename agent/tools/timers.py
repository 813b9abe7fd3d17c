"""Timers and alarms: set, listed, cancelled, and told when they are due.

In:  a label and when.   Out: `due` is called with each timer whose time has come.

One book holds those of one user, whatever conversation set them. Kept on disk only where a path is given: due time and
label, deleted when due or cancelled. What cannot be written is told once, stays in memory, and is written as soon as
that is possible again. Times are wall-clock times, so that a machine that slept is not late for an alarm
by as long as it slept.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from agent.tools.tool import ToolError

MAX_TIMERS = 50
MAX_SECS = 366 * 86_400.0
MAX_LABEL_CHARS = 60
# The clock may be set, and a machine may sleep: nobody waits longer than this without looking.
LOOK_SECS = 5.0


@dataclass(frozen=True)
class Timer:
    """One timer or alarm.

    Attributes:
        number: Names it within its book.
        label: What it is for; empty where nobody said.
        due_secs: When, in seconds since the epoch.
        set_secs: When it was set.
        alarm: Whether it is told by its time of day, not by its duration.
    """

    number: int
    label: str
    due_secs: float
    set_secs: float
    alarm: bool = False

    @property
    def whole_secs(self) -> float | None:
        """For how long it was set; None of an alarm."""
        return None if self.alarm else self.due_secs - self.set_secs

    def left_secs(self, now_secs: float) -> float:
        """Until it is due; 0 if it is."""
        return max(0.0, self.due_secs - now_secs)

    def is_meant(self, label: str | None, secs: float | None) -> bool:
        """Whether it has this label, in any case, and this duration; None: any."""
        is_named = not label or self.label.casefold() == label.strip().casefold()
        return is_named and (secs is None or (self.whole_secs is not None and abs(self.whole_secs - secs) < 0.5))


class TimerBook:
    """The timers of one user; needs a running event loop for those to become due.

    Args:
        path: Where they are kept; None: in memory alone.

    Attributes:
        changed: Told of each change: `set`, `cancelled` or `due`, and the timer.
        failed: Told in one line that timers cannot be kept, once until they can be again.
        problem: That line while it is so; empty otherwise.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.changed: list[Callable[[str, Timer], None]] = []
        self.failed: list[Callable[[str], None]] = []
        self.problem = ""
        self._path = path
        self._numbers = itertools.count(1)
        self._timers: dict[int, Timer] = {}
        self._watching: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        # Due while nobody listened.
        self.missed: list[Timer] = []
        self._read()

    def now_secs(self) -> float:
        """The time, in seconds since the epoch."""
        return time.time()

    def pending(self) -> list[Timer]:
        """What is still to come, the next one first."""
        return sorted(self._timers.values(), key=lambda timer: timer.due_secs)

    def set(self, secs: float, label: str = "", *, alarm: bool = False) -> Timer:
        """One more.

        Args:
            secs: From now.
            label: What it is for.
            alarm: Whether it stands for a time of day.

        Raises:
            ToolError: It is too long or too short, or there are too many.
        """
        if not 1 <= secs <= MAX_SECS:
            raise ToolError(f"a timer takes from 1 second to {MAX_SECS / 86_400:.0f} days, not {secs:g} seconds")
        if len(self._timers) >= MAX_TIMERS:
            raise ToolError(f"there are {MAX_TIMERS} timers already; cancel one first")
        now_secs = self.now_secs()
        timer = Timer(next(self._numbers), label.strip()[:MAX_LABEL_CHARS], now_secs + secs, now_secs, alarm)
        self._timers[timer.number] = timer
        self._tell("set", timer)
        self.watch()
        return timer

    def cancel(self, label: str | None = None, secs: float | None = None) -> list[Timer]:
        """Cancel those of that label and duration; all of them without either.

        Args:
            label: In any case; the only timer there is needs none.
            secs: For how long it was set; an alarm was set for no duration.
        """
        return self._cancel([timer for timer in self.pending() if timer.is_meant(label, secs)])

    def cancel_numbered(self, numbers: Collection[int]) -> list[Timer]:
        """Cancel those of these numbers.

        Args:
            numbers: Some may be of none that is still to come.
        """
        return self._cancel([timer for timer in self.pending() if timer.number in numbers])

    def _cancel(self, wanted: list[Timer]) -> list[Timer]:
        for timer in wanted:
            del self._timers[timer.number]
            self._tell("cancelled", timer)
        self._woken.set()
        return wanted

    def watch(self) -> None:
        """Wait for what is due, from now on; nothing happens if that is done already."""
        self._woken.set()
        if self._timers and (self._watching is None or self._watching.done()):
            self._watching = asyncio.create_task(self._watch(), name="timers")

    def stop(self) -> None:
        """Wait for nothing more; what is kept on disk stays."""
        if self._watching:
            self._watching.cancel()

    async def close(self) -> None:
        """The same, and nothing runs any more."""
        self.stop()
        if self._watching:
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        while self._timers:
            self._woken.clear()
            first = self.pending()[0]
            left_secs = first.left_secs(self.now_secs())
            if left_secs > 0:
                try:
                    await asyncio.wait_for(self._woken.wait(), min(left_secs, LOOK_SECS))
                except TimeoutError:
                    if self.problem:
                        self._write()
                    continue
            else:
                del self._timers[first.number]
                if not self.changed:
                    self.missed.append(first)
                self._tell("due", first)

    def _tell(self, change: str, timer: Timer) -> None:
        self._write()
        for tell in list(self.changed):
            tell(change, timer)

    def _read(self) -> None:
        if self._path is None or not self._path.exists():
            return
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            for one in kept:
                due_secs, label = float(one["due"]), str(one["label"])
                # How long it was set for is not kept: it is told by its time.
                timer = Timer(next(self._numbers), label[:MAX_LABEL_CHARS], due_secs, self.now_secs(), alarm=True)
                self._timers[timer.number] = timer
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.error(f"the timers in {self._path} cannot be read ({error}); delete the file to be rid of this")
            self._path = None

    def _write(self) -> None:
        if self._path is None:
            return
        kept = [{"due": timer.due_secs, "label": timer.label} for timer in self.pending()]
        partial = self._path.with_suffix(".part")
        try:
            if kept:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                partial.write_text(json.dumps(kept), "utf-8")
                partial.replace(self._path)
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            self._fail(f"timers cannot be kept in {self._path} ({error.strerror}): make room there, or allow writing")
        else:
            self.problem = ""

    def _fail(self, problem: str) -> None:
        is_new, self.problem = not self.problem, problem
        if is_new:
            logger.error(problem)
            for tell in list(self.failed):
                tell(problem)
