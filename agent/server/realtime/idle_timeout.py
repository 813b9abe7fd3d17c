"""The silence behind an answer: once it has lasted as long as the client says, the agent speaks up.

In:  answers that end, voice, turns.   Out: the segment of sound that was silent.
The clock is the event loop's, as a client may send no sound at all meanwhile.
"""

import asyncio
from collections.abc import Callable


class IdleTimeout:
    """That of one conversation.

    Args:
        heard_ms: How much of the client's sound has been heard so far.
        on_idle: Told where the silence began and ended, in milliseconds of that sound.

    Attributes:
        limit_ms: How long a silence may be; None: for ever.
    """

    def __init__(self, heard_ms: Callable[[], int], on_idle: Callable[[int, int], None]) -> None:
        self._heard_ms = heard_ms
        self._on_idle = on_idle
        self._timer: asyncio.TimerHandle | None = None
        self.limit_ms: int | None = None

    def begin(self) -> None:
        """An answer is over, or what was heard since was no turn."""
        self.stop()
        if self.limit_ms is not None:
            start_ms = self._heard_ms()
            self._timer = asyncio.get_running_loop().call_later(self.limit_ms / 1000, self._end, start_ms)

    def stop(self) -> None:
        """Somebody speaks, or is about to."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _end(self, start_ms: int) -> None:
        self._timer = None
        self._on_idle(start_ms, self._heard_ms())
