"""Places for calls and requests that several processes of a server share."""

from typing import Protocol

from agent.server.wire.slots import Slots


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

    def share(self, kind: str, slots: Slots) -> None:
        """Places of this kind count for all processes together from now on.

        Args:
            kind: The same in each of them.
            slots: Those of this process.
        """
        ...
