"""What front and worker tell each other while they run: JSON, a line each.

In:  a stream socket.   Out: messages as objects, until the other side is gone.

The front says: `{"elsewhere": N}` calls of the other workers, `{"place": K, "granted": BOOL}`, `{"signal": N}`,
`{"slots": KIND, "taken": N}` requests of that kind that the other workers answer.
A worker says: `{"up": true}` connections are taken, `{"ready": true}` calls are, `{"place": K}` may one begin,
`{"left": true}` one has ended, `{"slots": KIND, "taken": N}` its own, `{"failed": LINE, "status": N}`.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

MAX_LINE_BYTES = 64 * 1024


class Control:
    """One side's end; made by `control_of`.

    Args:
        reader: What the other side says.
        writer: What this side says.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def begin(self, data: bytes) -> None:
        """Say what comes before all messages.

        Args:
            data: As it is.
        """
        self._writer.write(data)

    def tell(self, **message: Any) -> None:
        """Say something; nothing happens where nobody is left to hear it."""
        if not self._writer.transport.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What the other side says, until it is gone."""
        try:
            while line := await self._reader.readline():
                yield json.loads(line)
        except (OSError, ValueError):
            # It was killed in the middle of a word.
            return

    async def flushed(self) -> None:
        """Wait until what was said is on its way."""
        try:
            await self._writer.drain()
        except OSError:
            return

    def close(self) -> None:
        """Say nothing more."""
        self._writer.close()


async def control_of(line: socket.socket) -> Control:
    """An end of a socket pair as `Control`.

    Args:
        line: Stream socket; closed with the control.
    """
    return Control(*await asyncio.open_unix_connection(sock=line, limit=MAX_LINE_BYTES))
