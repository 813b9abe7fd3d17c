"""A language model's server that is ours to mend, and the look at it while a reply keeps silent."""

import asyncio
from collections.abc import Callable
from typing import Protocol

# A reply that is silent for so long makes one look whether its server hangs; and again after as long.
SILENCE_SECS = 4.0


class ServerKeeper(Protocol):
    """Keeps one server running."""

    def kill_if_hung(self) -> bool:
        """Kill the server if it neither answers nor works, so that another takes its place; blocks.

        Returns:
            Whether it was killed.
        """
        ...

    def wait_until_back(self) -> bool:
        """Wait until the server runs; blocks.

        Returns:
            Whether it does; if not, it never will.
        """
        ...


async def look_after(keeper: ServerKeeper, silent_secs: Callable[[], float]) -> None:
    """Look at the server whenever its reply is silent; ends once the server was killed, which ends the reply.

    Args:
        keeper: Of the server.
        silent_secs: For how long nothing has come.
    """
    while True:
        await asyncio.sleep(SILENCE_SECS)
        if silent_secs() >= SILENCE_SECS and await asyncio.to_thread(keeper.kill_if_hung):
            return
