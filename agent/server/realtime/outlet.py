"""Where the agent's sound goes: into the client's events, or past them.

In:  sound of an answer, as it leaves the pipeline.   Out: base64 for the client's events, where it goes there.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from agent.server.realtime.outgoing import Send
from agent.server.realtime.session_config import Format
from agent.server.realtime.sound import SoundEncoder


class Encoder(Protocol):
    """What makes of an answer's sound what the client is sent of it; one an item."""

    @property
    def sent_ms(self) -> int:
        """How much has been given out."""
        ...

    def encode(self, pcm16: bytes, *, last: bool = False) -> str:
        """One piece, as the client's events carry it; empty where they carry nothing.

        Args:
            pcm16: Mono s16 at the voice's rate.
            last: Whether nothing follows.
        """
        ...


class Outlet(Protocol):
    """One client's."""

    @property
    def is_ahead(self) -> bool:
        """Whether the client is sent sound before its time, and plays it by itself."""
        ...

    def encoder(self, form: Format, rate_hz: int) -> Encoder:
        """For the sound of one item.

        Args:
            form: What the client takes, where its events carry sound.
            rate_hz: Of the agent's voice.
        """
        ...

    async def ready(self) -> None:
        """Wait while the client has as much as it may have."""
        ...

    def clear(self) -> None:
        """The agent was cut: what has not been played is not."""
        ...

    def following(self, send: Send) -> Send:
        """The same `send`, that is listened to.

        Args:
            send: Sends an event.
        """
        ...


class Deltas:
    """Sound goes into the client's events: at its time, or as fast as the client takes it in.

    Args:
        is_ahead: The latter.

    Attributes:
        has_room: Waits while the client has not taken in what it was sent.
    """

    def __init__(self, *, is_ahead: bool = False) -> None:
        self._is_ahead = is_ahead
        self.has_room: Callable[[], Awaitable[None]] = _at_once

    @property
    def is_ahead(self) -> bool:
        """See `Outlet`."""
        return self._is_ahead

    def encoder(self, form: Format, rate_hz: int) -> Encoder:
        """See `Outlet`."""
        return SoundEncoder(form, rate_hz)

    async def ready(self) -> None:
        """See `Outlet`; what comes at its time waits for nobody."""
        if self._is_ahead:
            await self.has_room()

    def clear(self) -> None:
        """See `Outlet`; the client drops what it has."""

    def following(self, send: Send) -> Send:
        """See `Outlet`."""
        return send


async def _at_once() -> None:
    """Nothing holds it up."""
