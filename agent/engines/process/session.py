"""The engines of each conversation, where the engine process has them; see `SessionEngines`.

In:  a conversation's settings.   Out: its engines, held there for as long as anything here may use them.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any
from weakref import WeakValueDictionary

from agent.engines.candidates import Choice
from agent.engines.host import ModelHost
from agent.engines.process.changes import changes_of
from agent.engines.process.host import RemoteModelHost, other_host
from agent.engines.process.lease import Lease
from agent.engines.process.wire import WireError
from agent.engines.process.words import choice_of
from agent.engines.session import SessionEngines
from agent.settings.load import Settings


def engines_for(host: ModelHost, settings: Settings) -> SessionEngines:
    """What gives every conversation its engines.

    Args:
        host: The server's own.
        settings: The server's.
    """
    return RemoteSessionEngines(host, settings) if isinstance(host, RemoteModelHost) else SessionEngines(host, settings)


class RemoteSessionEngines(SessionEngines):
    """See `SessionEngines`: the engine process loads, shares and ends them.

    Args:
        host: The server's own.
        settings: The server's.
    """

    def __init__(self, host: RemoteModelHost, settings: Settings) -> None:
        super().__init__(host, settings)
        self._own_host = host
        self._wishes: WeakValueDictionary[str, RemoteModelHost] = WeakValueDictionary()

    async def host_for(self, settings: Settings) -> ModelHost:
        """See `SessionEngines.host_for`."""
        changes = changes_of(self._settings, settings)
        if not changes:
            return self._own_host
        wish = json.dumps(changes, sort_keys=True)
        if (host := self._wishes.get(wish)) is None:
            lease = Lease(self._own_host.exchange, changes)
            host = other_host(self._own_host, lease, await asyncio.to_thread(lease.take))
            # Another conversation may have wished the same meanwhile.
            host = self._wishes.setdefault(wish, host)
        return host

    async def offers(self) -> dict[str, list[dict[str, Any]]]:
        """See `SessionEngines.offers`."""
        head, _ = await asyncio.to_thread(self._own_host.exchange.ask, {"kind": "offers"})
        if not isinstance(offers := head.get("offers"), dict):
            raise WireError("the engine process answers what are no offers")
        return offers

    def voices(self) -> dict[str, list[dict[str, str]]]:
        """See `SessionEngines.voices`."""
        return {choice.engine: [vars(voice) for voice in choice.loaded.voices()] for choice in self._voices()}

    def voice_of(self, engine: str) -> tuple[Choice[Any], Executor] | None:
        """See `SessionEngines.voice_of`."""
        found = next((choice for choice in self._voices() if choice.engine == engine), None)
        return (found, self._own_host.tts_threads) if found else None

    def threads(self) -> list[Executor]:
        """See `SessionEngines.threads`."""
        return self._own_host.threads()

    async def close(self) -> None:
        """See `SessionEngines.close`: each hold ends with whoever holds it."""

    async def let_go(self, is_meant: Callable[[Choice[Any]], bool]) -> None:
        """See `SessionEngines.let_go`."""
        exchange = self._own_host.exchange
        head, _ = await asyncio.to_thread(exchange.ask, {"kind": "unused"})
        unused = head.get("unused")
        if not isinstance(unused, dict):
            raise WireError("the engine process answers what are no engines")
        meant = [name for name, told in unused.items() if is_meant(choice_of(told, None))]
        if meant:
            await asyncio.to_thread(exchange.ask, {"kind": "let_go", "names": meant})

    def _voices(self) -> Iterator[Choice[Any]]:
        """Of each engine one."""
        seen: set[str] = set()
        for host in (self._own_host, *self._wishes.values()):
            if host.tts.engine not in seen:
                seen.add(host.tts.engine)
                yield host.tts
