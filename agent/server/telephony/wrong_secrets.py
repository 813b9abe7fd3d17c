"""Wrong secrets of Asterisk's take time, the right one none.

In:  who showed a wrong one.   Out: how long its answer is held back, or that too many of his wait.

A telephone exchange does not mistype: the first wrong one waits as long as all others.
"""

import asyncio
from collections import Counter

from agent.server.wire.networks import LOOPBACK

DELAY_SECS = 4.0
MOST_WAITING = 64
MOST_WAITING_OF_NETWORK = 8
TOO_MANY = "too many wrong secrets are waiting for their answers; try again later"


class WrongSecrets:
    """Those that wait for their answers."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()

    def are_unread(self, network: str) -> bool:
        """Whether a secret is not even looked at; those of this machine always are.

        Args:
            network: Who shows it.
        """
        return network != LOOPBACK and self._is_crowded(network)

    async def wait(self, network: str) -> None:
        """Hold back the answer to a wrong one, whether or not the caller waits; at once where too many do already.

        Args:
            network: Who showed it.
        """
        if self._is_crowded(network):
            return
        self._waiting[network] += 1
        try:
            await asyncio.sleep(DELAY_SECS)
        finally:
            self._waiting[network] -= 1
            if not self._waiting[network]:
                del self._waiting[network]

    def _is_crowded(self, network: str) -> bool:
        return self._waiting.total() >= MOST_WAITING or self._waiting[network] >= MOST_WAITING_OF_NETWORK
