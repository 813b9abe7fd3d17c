"""The engines that the engine process holds for others: the server's own, and those that conversations have asked for.

In:  a key.   Out: the engines behind it, in any of their voices.
"""

import asyncio
import dataclasses
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from agent.engines.candidates import Choice
from agent.engines.host import ModelHost
from agent.engines.process.changes import with_changes
from agent.engines.process.minds import llm_json
from agent.engines.process.wire import Head, WireError
from agent.engines.process.words import UnknownLeaseError, choice_json
from agent.engines.session import SessionEngines
from agent.settings.load import Settings
from processors.engine_threads import Standby
from processors.errors import EngineUnavailableError
from processors.stt.recognizer import KnowsLanguages, RecognizerEngine
from processors.tts.synthesizer import Synthesizer

# Of the server's own engines.
OWN = ""
MAX_VOICES = 64


@dataclasses.dataclass
class HeldEngines:
    """The engines of one wish.

    Attributes:
        host: The engines.
        n_leases: How many hold them.
    """

    host: ModelHost
    n_leases: int = 0
    give_back: Callable[[], None] = lambda: None
    _voices: OrderedDict[tuple[Any, ...], Synthesizer] = dataclasses.field(default_factory=OrderedDict)

    async def ears(self, *, standby: bool) -> tuple[RecognizerEngine, Executor]:
        """The recognizer and its threads; of the next one in the order where that is asked for."""
        host = self.host
        return await _next(host.stt_standby) if standby else (host.stt.loaded, host.stt_threads)

    async def voice(self, head: Head) -> tuple[Synthesizer, Executor]:
        """The synthesizer in the voice that is asked for, with its threads.

        Args:
            head: `voice`: name, language and pace, None for the engine as it is; `standby`: whether it is the next one.

        Raises:
            EngineUnavailableError: There is no such voice, or no next one.
        """
        host, standby = self.host, head.get("standby") is True
        engine, threads = await _next(host.tts_standby) if standby else (host.tts.loaded, host.tts_threads)
        if (wanted := head.get("voice")) is None:
            return engine, threads
        name, language, speed = _voice(wanted)
        key = (standby, name, language, speed)
        if key not in self._voices:
            self._voices[key] = await asyncio.to_thread(engine.in_voice, name, language=language, speed=speed)
            if len(self._voices) > MAX_VOICES:
                self._voices.popitem(last=False)
        self._voices.move_to_end(key)
        return self._voices[key], threads

    def as_json(self, key: str, own: ModelHost) -> Head:
        """What whoever uses them needs to know.

        Args:
            key: By which they are asked.
            own: The server's own engines.
        """
        host = self.host
        return {
            "lease": key,
            "own": {"stt": host.stt is own.stt, "tts": host.tts is own.tts, "llm": host.llm is own.llm},
            "stt": choice_json(host.stt),
            "ears": ears_json(host.stt.loaded),
            "tts": choice_json(host.tts),
            "voice": voice_json(host.tts.loaded),
            "llm": llm_json(host.llm),
            "large": llm_json(host.large) if host.large else None,
        }


class Leases:
    """Who holds which engines.

    Args:
        host: The server's own.
        settings: The server's.

    Attributes:
        engines: Loads and ends the others.
    """

    def __init__(self, host: ModelHost, settings: Settings) -> None:
        self.engines = SessionEngines(host, settings)
        self._settings = settings
        self._held = {OWN: HeldEngines(host)}

    def find(self, head: Head) -> HeldEngines:
        """The engines that a message names.

        Raises:
            UnknownLeaseError: Nobody holds them.
        """
        held = self._held.get(str(head.get("lease", OWN)))
        if held is None:
            raise UnknownLeaseError("these engines are not held")
        return held

    async def take(self, changes: Any) -> tuple[str, HeldEngines]:
        """Hold the engines of a wish, loaded where they are not; until `give_back`.

        Args:
            changes: See `changes_of`.

        Raises:
            WireError: These are none.
            EngineUnavailableError: See `SessionEngines.host_for`.
            OptionError: See there.
        """
        settings = with_changes(self._settings, changes)
        key = hashlib.sha256(json.dumps(changes, sort_keys=True).encode()).hexdigest()[:32]
        if key not in self._held:
            host = await self.engines.host_for(settings)
            if key not in self._held:
                self._held[key] = HeldEngines(host, give_back=self.engines.lend(host))
        self._held[key].n_leases += 1
        return key, self._held[key]

    def give_back(self, key: str) -> None:
        """End one hold."""
        held = self._held[key]
        held.n_leases -= 1
        if held.n_leases == 0:
            del self._held[key]
            held.give_back()

    def unused(self) -> dict[str, Choice[Any]]:
        """What no conversation uses, by a name of the moment."""
        return {str(id(loaded.choice)): loaded.choice for loaded in self.engines._unused()}

    async def let_go(self, names: Any) -> None:
        """End what nobody uses.

        Args:
            names: From `unused`.
        """
        meant = [choice for name, choice in self.unused().items() if name in names]
        await self.engines.let_go(lambda choice: any(choice is one for one in meant))


def ears_json(engine: RecognizerEngine) -> Head:
    """What a recognizer says of itself."""
    return {
        "name": engine.name,
        "model": engine.model,
        "pauses_freely": engine.pauses_freely,
        "shows_partials": engine.shows_partials,
        "languages": list(engine.languages) if isinstance(engine, KnowsLanguages) else None,
    }


def voice_json(engine: Synthesizer) -> Head:
    """What a synthesizer says of itself."""
    return {"name": engine.name, "model": engine.model, "sample_rate_hz": engine.sample_rate_hz}


async def _next(standby: Standby[Any] | None) -> tuple[Any, Executor]:
    taken = await standby.next() if standby else None
    if taken is None:
        raise EngineUnavailableError("none stands behind the engine in use", "sotto doctor")
    return taken


def _voice(wanted: Any) -> tuple[str | None, str, float]:
    try:
        name, language, speed = wanted
        return None if name is None else str(name), str(language), float(speed)
    except (TypeError, ValueError) as error:
        raise WireError("this is no voice") from error
