"""How fast a Wyoming client may send events, each of which leaves everybody else a turn of the event loop.

In:  events as they are read.   Out: nothing, as soon as the next one may be read; or an error that ends the connection.

Sound waits, so that a recording may be sent at once: how much there may be of it is bounded where it is kept. What
carries no sound is cheap to send and may be answered, so that too much of it is refused.
"""

import asyncio

from wyoming.event import Event

from agent.server.wire.errors import ApiError
from transports.allowance import Allowance

# The pieces of a long text that come at once, and questions of programs.
EVENTS_PER_SEC, EVENT_BURST = 200.0, 10_000.0
# Five minutes in pieces of 10 ms are 30 000: at once they take ten seconds, and those of 30 ms no time.
SOUNDS_PER_SEC, SOUND_BURST = 2000.0, 10_000.0


class Pace:
    """Of one connection."""

    def __init__(self) -> None:
        self._events = Allowance(EVENTS_PER_SEC, EVENT_BURST)
        self._sounds = Allowance(SOUNDS_PER_SEC, SOUND_BURST)

    async def keep(self, event: Event) -> None:
        """Let everybody else have a turn; sound that comes too fast waits for its time.

        Args:
            event: Has just been read.

        Raises:
            ApiError: Too many events came.
        """
        # A reader whose buffer holds the next event never waits.
        await asyncio.sleep(0)
        if event.type == "audio-chunk" and event.payload:
            if not self._sounds.take(1.0):
                await asyncio.sleep(1 / SOUNDS_PER_SEC)
        elif not self._events.take(1.0):
            what = f"too many events: {EVENTS_PER_SEC:.0f} a second are taken"
            raise ApiError(429, what, code="rate_limit_exceeded")
