"""Which engines conversations use: what nobody uses may be ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.engines.host import ModelHost


class Lending:
    """Keeps account.

    Attributes:
        in_use: What was given to conversations that go on.
    """

    def __init__(self) -> None:
        self.in_use: list[ModelHost] = []

    def lend(self, host: ModelHost) -> Callable[[], None]:
        """Keep the engines of a conversation loaded until what is returned is called, once."""
        self.in_use.append(host)

        def give_back() -> None:
            place = next(place for place, one in enumerate(self.in_use) if one is host)
            del self.in_use[place]

        return give_back

    @contextmanager
    def lent(self, host: ModelHost) -> Iterator[None]:
        """The same, for the length of a block."""
        give_back = self.lend(host)
        try:
            yield
        finally:
            give_back()
