"""One stream's detector on threads that all streams share; who listens is the event loop, and it never waits long.

In:  16 kHz mono s16.   Out: the words that were heard.
"""

from collections.abc import Callable
from contextlib import suppress

from processors.engine_threads import EngineThreads
from processors.errors import EngineHungError
from processors.wake.detector import HeardWake, WakeDetector

# A second of sound is milliseconds of work.
HUNG_SECS = 5.0


class WakeListener:
    """Asks a detector, and takes a new one after a failure.

    Args:
        load: Gives a detector; called on the threads.
        threads: The engine's.
    """

    def __init__(self, load: Callable[[], WakeDetector], threads: EngineThreads) -> None:
        self._load = load
        self._threads = threads
        self._detector: WakeDetector | None = None

    async def hear(self, pcm16: bytes) -> list[HeardWake]:
        """Take more of the sound; one call after the other.

        Args:
            pcm16: Little-endian s16 mono at 16 kHz.

        Raises:
            EngineError: The engine failed, hangs or is given up; the next call tries a new detector.
        """
        detector = self._detector
        # One that hangs belongs to its thread from now on.
        self._detector = None

        def work() -> tuple[WakeDetector, list[HeardWake]]:
            mine = detector or self._load()
            return mine, mine.hear(pcm16)

        self._detector, heard = await self._threads.run(work, within_secs=HUNG_SECS)
        return heard

    def let_go(self) -> None:
        """Free the detector, unless a call is under way: then its thread lets go of it."""
        detector, self._detector = self._detector, None
        if detector is not None:
            # Threads that have ended, or are given up, free it with themselves.
            with suppress(RuntimeError, EngineHungError):
                self._threads.submit(detector.close)
