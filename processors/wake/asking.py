"""Asks a detector beside the stream of sound: who brings the sound does not wait for the answer.

In:  16 kHz mono s16, as it comes.   Out: the words that were heard, with how long ago.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from processors.errors import EngineError, one_line
from processors.wake.detector import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ, HeardWake
from processors.wake.listener import WakeListener

# What the detector is asked about at once, at least: less would cost more threads' work than it takes itself.
LEAST_BYTES = SAMPLE_RATE_HZ // 25 * BYTES_PER_SAMPLE
# Of sound that waits while the detector is slow or hangs; the oldest goes.
MOST_BYTES = 2 * SAMPLE_RATE_HZ * BYTES_PER_SAMPLE
# After a failure, until it is asked again.
RETRY_SECS = 2.0


class Asking:
    """One stream's.

    Args:
        listener: Is asked.

    Attributes:
        failure: Why the latest sound could not be judged; None once it can be again.
    """

    def __init__(self, listener: WakeListener) -> None:
        self.failure: EngineError | None = None
        self._listener = listener
        self._waiting = bytearray()
        self._has_come = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None
        # Of all the sound so far, in bytes.
        self._n_bytes = 0
        self._heard: list[tuple[HeardWake, int]] = []

    def begin(self, create_task: Callable[[Coroutine[Any, Any, None]], asyncio.Task[Any]]) -> None:
        """Begin; a second time changes nothing."""
        if self._task is None:
            self._task = create_task(self._ask())

    async def end(self, cancel_task: Callable[[asyncio.Task[Any]], Awaitable[None]]) -> None:
        """Ask no more, and free the detector."""
        task, self._task = self._task, None
        if task is not None:
            await cancel_task(task)
            self._listener.let_go()

    def ask(self, pcm16: bytes) -> None:
        """More of the sound has come."""
        self._n_bytes += len(pcm16)
        self._waiting += pcm16
        del self._waiting[:-MOST_BYTES]
        if len(self._waiting) >= LEAST_BYTES:
            self._has_come.set()

    def take(self) -> list[tuple[HeardWake, int]]:
        """What has been heard since the last call, each with how many samples before the latest one it was certain."""
        heard, self._heard = self._heard, []
        return [(one, (self._n_bytes - at_bytes) // BYTES_PER_SAMPLE) for one, at_bytes in heard]

    async def _ask(self) -> None:
        while True:
            await self._has_come.wait()
            self._has_come.clear()
            pcm16, until_bytes = bytes(self._waiting), self._n_bytes
            self._waiting.clear()
            try:
                found = await self._listener.hear(pcm16)
            except Exception as error:  # noqa: BLE001 - whatever an engine raises costs no conversation
                self.failure = error if isinstance(error, EngineError) else EngineError(one_line(error))
                await asyncio.sleep(RETRY_SECS)
                continue
            self.failure = None
            self._heard += [(one, until_bytes - one.ago_samples * BYTES_PER_SAMPLE) for one in found]
