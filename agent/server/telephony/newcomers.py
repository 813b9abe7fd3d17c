"""Connections that have shown nothing yet: few of them, and the one that has waited longest gives way to the next.

In:  connections as they come.   Out: a place for each until it has shown something; which one is closed for it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MAX_NEWCOMERS = 16
# No address has them all.
MAX_NEWCOMERS_OF_NETWORK = MAX_NEWCOMERS // 2


@dataclass(eq=False)
class _Newcomer:
    network: str
    close: Callable[[], object]


class Newcomers:
    """Those of all lines."""

    def __init__(self) -> None:
        # In the order in which they came.
        self._waiting: dict[_Newcomer, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @contextmanager
    def waiting(self, network: str, close: Callable[[], object]) -> Iterator[None]:
        """Have a place; where none is left, the oldest of its own network gives way, or of the one that has most.

        Args:
            network: Whom it counts for.
            close: Ends the connection at once.
        """
        self._make_room(network)
        one = _Newcomer(network, close)
        self._waiting[one] = None
        try:
            yield
        finally:
            self._waiting.pop(one, None)

    def _make_room(self, network: str) -> None:
        n_places = Counter(one.network for one in self._waiting)
        if n_places[network] >= MAX_NEWCOMERS_OF_NETWORK:
            crowded = network
        elif len(self._waiting) >= MAX_NEWCOMERS:
            crowded = max(n_places, key=lambda one: n_places[one])
        else:
            return
        oldest = next(one for one in self._waiting if one.network == crowded)
        # At once, whenever its connection hears of it.
        del self._waiting[oldest]
        oldest.close()
