"""Addresses of engines that go and come back, as one conversation tells of them."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from processors.address import Change
from processors.addresses import AddressGroup


class ToldAddresses:
    """Tells of each change from `begin` to `end`, and at the beginning of what is gone already.

    Args:
        groups: Of the conversation's engines.
        tell: Emits an event; on the event loop.
    """

    def __init__(self, groups: Sequence[AddressGroup], tell: Callable[..., None]) -> None:
        self._groups = groups
        self._tell = tell
        self._loop = asyncio.get_running_loop()

    def begin(self) -> None:
        """Follow them."""
        for group in self._groups:
            group.listeners.append(self._changed)
            for change in group.gone():
                self._told(change)

    def end(self) -> None:
        """Follow them no more."""
        for group in self._groups:
            if self._changed in group.listeners:
                group.listeners.remove(self._changed)

    def _changed(self, change: Change) -> None:
        """On any thread; the loop may be over."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._told, change)

    def _told(self, change: Change) -> None:
        self._tell("engine_address", **vars(change))
