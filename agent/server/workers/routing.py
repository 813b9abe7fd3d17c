"""Which worker gets a request: the one that has the call, or the one with the fewest.

In:  names that callers show, calls as they begin and end, workers as they come and go.   Out: numbers of workers.

Nothing here does anything, and no clock is read but the one that is given.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from agent.own_names import home_of

# A call that was sent to a worker is asked a place for within this time, or does not come about.
ARRIVAL_SECS = 2.0
MAX_PAGES = 4096


class Routing:
    """The table.

    Args:
        of: How many workers there are, those that are being started among them.
        most_calls: As many there may be together.
        clock: Gives seconds.

    Attributes:
        up: Those that take connections.
        ready: Those that hold calls.
    """

    def __init__(self, of: int, most_calls: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.of = of
        self.up: set[int] = set()
        self.ready: set[int] = set()
        self._most_calls = most_calls
        self._clock = clock
        self._calls: Counter[int] = Counter()
        self._arriving: dict[int, list[float]] = {}
        self._last: dict[int, int] = {}
        self._n_sent = 0
        self._pages: OrderedDict[str, int] = OrderedDict()

    @property
    def n_calls(self) -> int:
        """How many are held."""
        return self._calls.total()

    def calls_of(self, number: int) -> int:
        """How many one worker holds."""
        return self._calls[number]

    def place(self, number: int) -> bool:
        """Whether a worker may begin one call more; it holds it from now on."""
        if self.n_calls >= self._most_calls:
            return False
        if arriving := self._arriving.get(number):
            arriving.pop(0)
        self._calls[number] += 1
        return True

    def left(self, number: int) -> None:
        """One of a worker's calls has ended."""
        self._calls[number] = max(0, self._calls[number] - 1)

    def lost(self, number: int) -> None:
        """A worker has ended, and its calls with it."""
        self.up.discard(number)
        self.ready.discard(number)
        self._arriving.pop(number, None)
        self._calls.pop(number, None)

    def newcomer(self) -> int | None:
        """Who gets a call that is new; None where no worker takes connections."""
        number = self._least()
        if number is not None:
            self._arriving.setdefault(number, []).append(self._clock())
        return number

    def moved(self, origin: int, number: int) -> None:
        """A call that was new to one worker turned out to be another's."""
        if arriving := self._arriving.get(origin):
            arriving.pop()
        self._arriving.setdefault(number, []).append(self._clock())

    def anyone(self) -> int | None:
        """Who gets what belongs to nobody: each in turn, those first that hold fewer calls."""
        return self._least()

    def first(self) -> int | None:
        """Who has what only one can have; another while that one is being started."""
        return 0 if 0 in self.up else self._least()

    def home(self, name: str) -> int | None:
        """Who has what bears that name. What a worker had that has ended is gone: then another, where it can go on.

        Args:
            name: As a caller showed it.
        """
        number = home_of(name, self.of)
        usable = self.ready or self.up
        return number if number in usable else self._least()

    def note_page(self, page: str, number: int) -> None:
        """A page has talked to a worker.

        Args:
            page: What it calls itself.
            number: Whom.
        """
        self._pages[page] = number
        self._pages.move_to_end(page)
        while len(self._pages) > MAX_PAGES:
            self._pages.popitem(last=False)

    def of_page(self, page: str) -> int | None:
        """Whom a page has talked to last; for one that is not known always the same."""
        number = self._pages.get(page)
        return number if number in (self.ready or self.up) else self.home(page)

    def _least(self) -> int | None:
        usable = self.ready or self.up
        if not usable:
            return None
        number = min(usable, key=lambda one: (self._load(one), self._last.get(one, -1), one))
        self._n_sent += 1
        self._last[number] = self._n_sent
        return number

    def _load(self, number: int) -> int:
        oldest_secs = self._clock() - ARRIVAL_SECS
        arriving = [secs for secs in self._arriving.get(number, ()) if secs > oldest_secs]
        if number in self._arriving:
            self._arriving[number] = arriving
        return self._calls[number] + len(arriving)
