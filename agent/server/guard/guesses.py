"""Wrong tokens take time, more with every one of them; the right one takes none.

In:  who showed a wrong token, and when.   Out: how long he waits for his answer, or that he waits in too great numbers.

Whoever guesses is known by his network alone, so that people behind one proxy, and all programs of this machine, share
what one of them has guessed wrong; nobody who shows the right token is held up by that. No clock is read here.
"""

from collections import OrderedDict
from dataclasses import dataclass

# Typing errors cost nothing; from then on the delay doubles.
FREE_GUESSES = 3
FIRST_DELAY_SECS = 0.25
MOST_DELAY_SECS = 8.0
# A network that has guessed nothing for so long begins anew.
FORGET_SECS = 600.0
MOST_NETWORKS = 1024
MOST_WAITING = 256
MOST_WAITING_OF_NETWORK = 128


@dataclass
class _Guesser:
    n_wrong: int = 0
    n_waiting: int = 0
    last_secs: float = 0.0


class Guesses:
    """Those of all networks, few of them remembered.

    Attributes:
        n_waiting: How many wrong ones wait for their answers.
    """

    def __init__(self) -> None:
        self.n_waiting = 0
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()

    def __len__(self) -> int:
        return len(self._guessers)

    def is_crowded(self, network: str) -> bool:
        """Whether so many wrong ones wait already that no further one may."""
        guesser = self._guessers.get(network)
        return self.n_waiting >= MOST_WAITING or (guesser is not None and guesser.n_waiting >= MOST_WAITING_OF_NETWORK)

    def begin(self, network: str, now_secs: float) -> float:
        """Count a wrong one, which waits until `end`.

        Args:
            network: Who showed it.
            now_secs: On any clock.

        Returns:
            How many seconds the answer is held back.
        """
        guesser = self._guessers.setdefault(network, _Guesser())
        self._guessers.move_to_end(network)
        if now_secs - guesser.last_secs > FORGET_SECS:
            guesser.n_wrong = 0
        guesser.n_wrong += 1
        guesser.last_secs = now_secs
        guesser.n_waiting += 1
        self.n_waiting += 1
        self._forget()
        # A power of more than fifty would be no float any more, and is far beyond the bound.
        n_doublings = min(guesser.n_wrong - FREE_GUESSES - 1, 50)
        return min(MOST_DELAY_SECS, FIRST_DELAY_SECS * 2.0**n_doublings) if n_doublings >= 0 else 0.0

    def end(self, network: str) -> None:
        """It has its answer, or has hung up."""
        self.n_waiting -= 1
        self._guessers[network].n_waiting -= 1

    def _forget(self) -> None:
        """Those that guessed longest ago; never one whose guess still waits, of which there are fewer than are kept."""
        for network in list(self._guessers)[: max(0, len(self._guessers) - MOST_NETWORKS)]:
            if not self._guessers[network].n_waiting:
                del self._guessers[network]
