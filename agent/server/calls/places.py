"""Places for calls that several processes of a server share."""

from typing import Protocol


class CallPlaces(Protocol):
    """Those of one process; `server.max_sessions` counts for all together."""

    @property
    def n_elsewhere(self) -> int:
        """How many calls the other processes hold, as far as this one has heard."""
        ...

    async def take(self) -> bool:
        """Whether there is a place for one call more; it is taken then."""
        ...

    def give(self) -> None:
        """A call has ended that had a place."""
        ...
