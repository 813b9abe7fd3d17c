"""So many of one kind at the same time, and no more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class Slots:
    """Places for requests of one kind.

    Args:
        most: How many there are.
        refusal: Makes what is raised where all are taken.

    Attributes:
        n_active: How many are taken.
        n_elsewhere: How many of them other processes of the server have taken, as far as this one has heard.
        on_change: Called with `n_active` when it has changed.
    """

    def __init__(self, most: int, refusal: Callable[[], Exception]) -> None:
        self.n_active = self.n_elsewhere = 0
        self.on_change: Callable[[int], object] = lambda n_active: None
        self._most = most
        self._refusal = refusal

    @contextmanager
    def taken(self) -> Iterator[None]:
        """A place for one request.

        Raises:
            Exception: The refusal; all places are taken.
        """
        if self.n_active + self.n_elsewhere >= self._most:
            raise self._refusal()
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self.n_active += change
        self.on_change(self.n_active)


@dataclass(frozen=True)
class Places:
    """What all doors of a server share.

    Attributes:
        questions: Places for what is answered in writing.
        speeches: Places for texts that are to be spoken.
    """

    questions: Slots
    speeches: Slots
