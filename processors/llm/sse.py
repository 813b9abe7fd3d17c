"""Server-sent events of a language model's server, whatever bytes it sends, in bounded memory.

In:  the bytes of a response.   Out: its events. A byte that is no UTF-8 becomes U+FFFD, as a browser shows it.

EventTooLongError    an event, or a line of one, does not end
"""

import asyncio
import codecs
from collections.abc import AsyncIterator
from typing import Any

from openai import AsyncOpenAI
from openai._streaming import (  # pyright: ignore[reportPrivateUsage] - the type that the client's own hook returns
    ServerSentEvent,
    SSEDecoder,
)

# Others have their turn after so much of what came at once: the shortest events in it take some milliseconds together.
STEP_BYTES = 1024


class EventTooLongError(ValueError):
    """An event, or a line of one, does not end."""


class PatientDecoder(SSEDecoder):
    """Reads events.

    Args:
        max_event_bytes: A longer one is refused.
    """

    def __init__(self, max_event_bytes: int) -> None:
        super().__init__()
        self._max_event_bytes = max_event_bytes
        self._n_event_chars = 0

    async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        """The events of a stream of bytes.

        Raises:
            EventTooLongError: One does not end.
        """
        async for event in super().aiter_bytes(self._whole_characters(iterator)):
            yield event

    def decode(self, line: str) -> ServerSentEvent | None:
        """Take a line; the event that it ends, if it ends one."""
        self._n_event_chars = self._n_event_chars + len(line) if line else 0
        self._check(self._n_event_chars)
        return super().decode(line)

    async def _whole_characters(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        n_line_bytes = 0
        async for received in iterator:
            line_end = max(received.rfind(b"\n"), received.rfind(b"\r"))
            n_line_bytes = len(received) - line_end - 1 if line_end >= 0 else n_line_bytes + len(received)
            self._check(n_line_bytes)
            for start in range(0, len(received), STEP_BYTES):
                if start:
                    await asyncio.sleep(0)
                yield decoder.decode(received[start : start + STEP_BYTES]).encode()
        yield decoder.decode(b"", final=True).encode()

    def _check(self, n: int) -> None:
        if n > self._max_event_bytes:
            raise EventTooLongError(f"an event of more than {self._max_event_bytes} bytes")


class PatientOpenAI(AsyncOpenAI):
    """The OpenAI client with that decoder.

    Args:
        max_event_bytes: See `PatientDecoder`.
        **kwargs: The client's own.
    """

    def __init__(self, *, max_event_bytes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._max_event_bytes = max_event_bytes

    def _make_sse_decoder(self) -> SSEDecoder:
        return PatientDecoder(self._max_event_bytes)
