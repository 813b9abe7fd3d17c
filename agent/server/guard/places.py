"""Places for connections: how many there are, who has how many of them, and who gives his up first.

In:  connections as they come, what they do, and go.   Out: a place for each, or none; which of them are to be closed.

A connection *waits* until its client has sent a whole request, and again between two requests; otherwise it *works*
and keeps its place, as a call does. Where a new one finds all places taken, that which has waited longest gives way:
first of its own network, if that has its share, else of the network that has most. No clock is read here.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

# A client has so long for the head of a request, from the connection on or from the first byte after the last answer.
REQUEST_SECS = 10.0
# One that takes in nothing of what it is sent is let go of after this, as one that does not end what is being closed.
STALL_SECS = 30.0
CLOSE_SECS = 10.0


@dataclass(eq=False)
class Place:
    """One connection's.

    Attributes:
        network: Whom it counts for.
        close: Ends the connection at once.
        is_closing: Whether it is being ended.
        due_secs: A connection that still waits then is closed; None: no time limit.
        stalled_secs: Since when its client has taken in nothing.
        closing_secs: Since when it has been seen to be ending.
    """

    network: str
    close: Callable[[], object]
    is_closing: Callable[[], bool] = lambda: False
    due_secs: float | None = None
    stalled_secs: float | None = None
    closing_secs: float | None = None


@dataclass
class _Network:
    """Those of one network; `waiting` in the order in which they give way."""

    n_places: int = 0
    waiting: dict[Place, None] = field(default_factory=dict)


class Places:
    """All connections of a server.

    Args:
        most: As many there may be.
        most_of_network: As many of one network.

    Attributes:
        turned_away: How many were refused or closed since it was last emptied, by network.
    """

    def __init__(self, most: int, most_of_network: int) -> None:
        self.most = most
        self.most_of_network = most_of_network
        self.turned_away: Counter[str] = Counter()
        self._networks: dict[str, _Network] = {}
        self._places: dict[Place, None] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Place]:
        return iter(self._places)

    def enter(self, network: str, now_secs: float, close: Callable[[], object]) -> Place | None:
        """A place, which waits for its first request; None if all are taken by connections that work.

        Args:
            network: Whom it counts for.
            now_secs: On any clock, the same for all methods.
            close: Ends the connection at once.
        """
        here = self._networks.get(network) or _Network()
        if here.n_places >= self.most_of_network:
            crowded = [here]
        elif len(self._places) >= self.most:
            crowded = sorted(self._networks.values(), key=lambda one: -one.n_places)
        else:
            crowded = None
        if crowded is not None and not self._give_way(crowded):
            self.turned_away[network] += 1
            return None
        place = Place(network, close)
        self._places[place] = None
        self._networks.setdefault(network, here).n_places += 1
        self.wait(place, now_secs + REQUEST_SECS)
        return place

    def wait(self, place: Place, due_secs: float | None) -> None:
        """It waits from now on, and is the last to give way.

        Args:
            place: Whose; nothing happens if it was left.
            due_secs: When it is closed if it still waits; None where something else limits the time.
        """
        if place in self._places:
            waiting = self._networks[place.network].waiting
            waiting.pop(place, None)
            waiting[place] = None
            place.due_secs = due_secs

    def work(self, place: Place) -> None:
        """It works from now on: nobody else gets its place."""
        if place in self._places:
            self._networks[place.network].waiting.pop(place, None)
            place.due_secs = None

    def leave(self, place: Place) -> None:
        """The connection is closed; a second time changes nothing."""
        if place not in self._places:
            return
        del self._places[place]
        # Nothing of the connection is held here any more; in circles it would wait for the garbage collector.
        place.close, place.is_closing = _nothing, _nothing
        here = self._networks[place.network]
        here.waiting.pop(place, None)
        here.n_places -= 1
        if not here.n_places:
            del self._networks[place.network]

    def close_overdue(self, now_secs: float) -> int:
        """Close those whose time is over: for a request, for taking in an answer, for ending.

        Returns:
            How many.
        """
        overdue = [place for place in self._places if _is_overdue(place, now_secs)]
        for place in overdue:
            self._turn_away(place)
        return len(overdue)

    def make_room(self) -> bool:
        """Close the one that has waited longest of the network that has most; whether there was any."""
        return self._give_way(sorted(self._networks.values(), key=lambda one: -one.n_places))

    def _give_way(self, networks: list[_Network]) -> bool:
        for network in networks:
            for place in network.waiting:
                self._turn_away(place)
                return True
        return False

    def _turn_away(self, place: Place) -> None:
        self.turned_away[place.network] += 1
        close = place.close
        # At once, whenever the connection hears of it: the next one must not be turned away for it.
        self.leave(place)
        close()


def _nothing() -> bool:
    return False


def _is_overdue(place: Place, now_secs: float) -> bool:
    if place.is_closing():
        place.closing_secs = now_secs if place.closing_secs is None else place.closing_secs
        if now_secs - place.closing_secs > CLOSE_SECS:
            return True
    if place.stalled_secs is not None and now_secs - place.stalled_secs > STALL_SECS:
        return True
    return place.due_secs is not None and now_secs > place.due_secs
