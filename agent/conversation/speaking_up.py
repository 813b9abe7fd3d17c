"""The agent speaks up by itself, such as for a timer: not over the user, nor into an answer.

In:  the conversation's events, and what is to be said.   Out: `say` is called when the floor is free.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from agent.conversation.activity import Floor
from agent.conversation.event_log import Event

# So long nothing must have happened: voice activity is told late.
QUIET_SECS = 0.5
# An answer that is due and of which nothing is heard or told for so long does not come; a timer is not lost with it.
ANSWER_SECS = 20.0
# What was said is not heard by then only where a stage has failed.
HEARD_SECS = 20.0


class SpeakingUp:
    """Waits for the floor; a sink of the observer.

    Args:
        say: Says a text.
    """

    def __init__(self, say: Callable[[str], Awaitable[None]]) -> None:
        self._say = say
        self._floor = Floor()
        self._waiting: deque[Callable[[], Awaitable[object]]] = deque()
        self._happened = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self._floor(event)
        self._happened.set()

    def add(self, text: str) -> None:
        """Have it said as soon as nobody speaks and nothing is due.

        Args:
            text: The words.
        """
        self.do(lambda: self._say(text))

    def do(self, speak: Callable[[], Awaitable[object]]) -> None:
        """The same, for words that are to be found yet.

        Args:
            speak: Has something said, once the floor is free; gives False if nothing is.
        """
        self._waiting.append(speak)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="speaking-up")

    def close(self) -> None:
        """Say nothing more."""
        if self._working:
            self._working.cancel()

    async def _work(self) -> None:
        while self._waiting:
            await self._until_free()
            if await self._waiting.popleft()() is not False:
                await self._until_said()

    async def _until_free(self) -> None:
        while True:
            self._happened.clear()
            try:
                await asyncio.wait_for(self._happened.wait(), self._patience_secs())
            except TimeoutError:
                return

    def _patience_secs(self) -> float | None:
        """How long nothing must happen from now on; None while somebody speaks."""
        floor = self._floor
        if floor.user_speaking or floor.bot_speaking:
            return None
        return QUIET_SECS if floor.idle else ANSWER_SECS

    async def _until_said(self) -> None:
        try:
            async with asyncio.timeout(HEARD_SECS):
                while not self._floor.bot_speaking:
                    self._happened.clear()
                    await self._happened.wait()
        except TimeoutError:
            return
