"""A WebSocket that carries nothing but text messages, whose shape is the door's: bounds, backpressure, a clean end.

In:  text messages, of a WebSocket or of what behaves as one.   Out: JSON objects.

Messages are read while an earlier one is still being done, which may take seconds: a line that is not read does not see
the answers to its own pings.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from transports.allowance import Allowance
from transports.websocket_line import POLICY_VIOLATION, Ending, Message, Socket, WebSocketLine, ending_of

# A recording that a client sends at once, in pieces of 20 ms, may be a few minutes long: five minutes of 24 kHz sound
# are 20 million characters.
EVENTS_PER_SEC = 200.0
EVENT_BURST = 16_000.0
CHARS_PER_SEC = 1_000_000.0
CHAR_BURST = 24_000_000.0


class EventLine(WebSocketLine):
    """Runs once; what is sent before waits until then.

    Args:
        socket: Accepted already.
        on_text: Takes each message of the client, in order; None stands for a message that is no text.
    """

    def __init__(self, socket: Socket, on_text: Callable[[str | None], Awaitable[None]]) -> None:
        super().__init__(socket, _nothing, _nothing)
        self._on_text = on_text
        self._event_allowance = Allowance(EVENTS_PER_SEC, EVENT_BURST)
        self._char_allowance = Allowance(CHARS_PER_SEC, CHAR_BURST)
        self._texts: deque[str | None] = deque()
        self._n_chars = 0
        self._come, self._done = asyncio.Event(), asyncio.Event()

    async def run(self, greeting: Mapping[str, Any] | None = None) -> Ending:
        """See `WebSocketLine`."""
        doing = asyncio.create_task(self._do())
        doing.add_done_callback(self._end_if_failed)
        try:
            return await super().run(greeting)
        finally:
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)

    async def _take_event(self, event: MutableMapping[str, Any]) -> Ending | None:
        text = event.get("text")
        if not self._event_allowance.take(1.0):
            return Ending(POLICY_VIOLATION, f"too many events: {EVENTS_PER_SEC:.0f} a second are taken")
        if not self._char_allowance.take(len(text or "")):
            return Ending(POLICY_VIOLATION, f"too much at once: {CHARS_PER_SEC:.0f} characters a second are taken")
        while len(self._texts) >= EVENT_BURST or self._n_chars >= CHAR_BURST:
            self._done.clear()
            await self._done.wait()
        self._texts.append(text)
        self._n_chars += len(text or "")
        self._come.set()
        return None

    async def _do(self) -> None:
        while True:
            while not self._texts:
                self._come.clear()
                await self._come.wait()
            text = self._texts.popleft()
            self._n_chars -= len(text or "")
            await self._on_text(text)
            self._done.set()
            await asyncio.sleep(0)

    def _end_if_failed(self, doing: "asyncio.Task[None]") -> None:
        if not doing.cancelled() and doing.exception():
            ending = ending_of(doing)
            self.end(ending.reason, ending.code)

    async def _watch(self) -> Ending:
        """A client may be silent as long as it likes; whether it is there, the server's pings tell."""
        return await self._told


async def _nothing(_: bytes | Message) -> None:
    """Sound and messages of the page's protocol do not come here."""
