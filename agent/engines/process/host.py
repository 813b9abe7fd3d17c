"""The engines of a process that holds conversations and loads no model: all of them are in the engine process.

In:  settings and the engine process's socket.   Out: a ModelHost like any other.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast

from loguru import logger

from agent.engines.host import FILE_THREADS, TURN_THREADS, VAD_THREADS, ModelHost
from agent.engines.large import beside
from agent.engines.process.addresses import keep_up, mirrors_of
from agent.engines.process.ears import WAITING_THREADS, remote_ears
from agent.engines.process.lease import Lease
from agent.engines.process.line import Exchange
from agent.engines.process.minds import llm_of
from agent.engines.process.pauses import RemoteSession, remote_silero, remote_smart_turn
from agent.engines.process.voice import RemoteSynthesizer
from agent.engines.process.wire import Head
from agent.engines.process.words import choice_of
from agent.engines.wake import load_wake
from agent.settings.load import Settings
from processors.addresses import AddressGroup
from processors.ear.silero import SharedSilero
from processors.engine_threads import EngineThreads
from processors.errors import EngineError

# Until an engine process that has just been started has loaded its models.
READY_SECS = 120.0

Engine = TypeVar("Engine")


@dataclass
class RemoteModelHost(ModelHost):
    """See `ModelHost`; `connect_model_host` makes it.

    Attributes:
        exchange: Reaches the engine process.
        runs: The two models of a pause.
        mirrors: The addresses that the engine process asks.
        mirroring: What keeps up with them.
    """

    exchange: Exchange = field(default_factory=lambda: Exchange(Path()))
    runs: tuple[RemoteSession, ...] = ()
    mirrors: tuple[AddressGroup, ...] = ()
    mirroring: asyncio.Task[None] | None = None

    def addresses(self) -> list[AddressGroup]:
        """See `ModelHost.addresses`."""
        return [*super().addresses(), *self.mirrors]

    async def close(self) -> None:
        """See `ModelHost.close`."""
        if self.mirroring:
            self.mirroring.cancel()
            await asyncio.wait([self.mirroring])
        await super().close()

    def _close(self) -> None:
        super()._close()
        for session in self.runs:
            session.close()


class RemoteStandby(Generic[Engine]):
    """The next engine of a stage, in the engine process; see `Standby`.

    Args:
        lease: Holds the engine before it.
        stage: Which one.
    """

    def __init__(self, lease: Lease, stage: Literal["stt", "tts"]) -> None:
        self._lease = lease
        self._stage = stage
        self._taken: tuple[Any, EngineThreads] | None = None

    async def next(self) -> tuple[Engine, EngineThreads] | None:
        """See `Standby.next`."""
        if self._taken is None:
            asked = {"kind": "standby", "lease": self._lease.key, "stage": self._stage}
            try:
                about, _ = await asyncio.to_thread(self._lease.exchange.ask, asked)
            except EngineError as error:
                logger.error(f"{self._stage}: there is no engine to take over: {error}")
                return None
            made = remote_ears if self._stage == "stt" else RemoteSynthesizer
            engine = made(self._lease, about, standby=True)
            self._taken = engine, EngineThreads(WAITING_THREADS, f"{self._stage}-{engine.name}")
        return cast(tuple[Engine, EngineThreads], self._taken)


async def connect_model_host(settings: Settings, engines_at: Path) -> RemoteModelHost:
    """Use the engines of the engine process.

    Args:
        settings: Those that it was started with.
        engines_at: Its socket.

    Raises:
        EngineUnavailableError: It is not there, or an engine is not usable.
    """
    exchange = Exchange(engines_at)
    about, _ = await asyncio.to_thread(exchange.ask, {"kind": "describe"}, within_secs=READY_SECS)
    wake = await asyncio.to_thread(load_wake, settings)
    lease = Lease(exchange)
    silero, turn = remote_silero(exchange), remote_smart_turn(exchange)
    llm = llm_of(about["llm"], exchange)
    host = RemoteModelHost(
        choice_of(about["stt"], remote_ears(lease, about["ears"])),
        llm,
        choice_of(about["tts"], RemoteSynthesizer(lease, about["voice"])),
        SharedSilero(cast(Any, silero)),
        cast(Any, turn),
        ThreadPoolExecutor(WAITING_THREADS, "stt"),
        ThreadPoolExecutor(WAITING_THREADS, "tts"),
        EngineThreads(VAD_THREADS, "vad"),
        EngineThreads(TURN_THREADS, "turn"),
        EngineThreads(FILE_THREADS, "files"),
        RemoteStandby(lease, "stt"),
        RemoteStandby(lease, "tts"),
        large=llm_of(about["large"], exchange) if about["large"] else None,
        wake=wake,
        exchange=exchange,
        runs=(silero, turn),
        mirrors=mirrors_of(settings, about),
    )
    if host.mirrors:
        host.mirroring = asyncio.create_task(keep_up(host.mirrors, exchange), name="addresses")
    # So that nobody waits for them on an event loop.
    await asyncio.to_thread(host.tts.loaded.voices)
    host.llm.loaded.options = beside(host.llm_options, host.large, settings)
    if settings.tools.choice != "off":
        host.probing = asyncio.create_task(host.probe_tools(), name="tool-probe")
    return host


def other_host(own: RemoteModelHost, lease: Lease, about: Head) -> RemoteModelHost:
    """The engines of a wish; what it leaves as it is, is the server's own.

    Args:
        own: The server's own.
        lease: Holds them.
        about: See `HeldEngines.as_json`.
    """
    changed: dict[str, Any] = {}
    if not about["own"]["stt"]:
        changed["stt"] = choice_of(about["stt"], remote_ears(lease, about["ears"]))
    if not about["own"]["tts"]:
        changed["tts"] = choice_of(about["tts"], RemoteSynthesizer(lease, about["voice"]))
    if not about["own"]["llm"]:
        llm = llm_of(about["llm"], own.exchange)
        options, before = llm.loaded.options, own.llm_options
        is_same_model = (options.base_url, options.model) == (before.base_url, before.model)
        options = replace(options, large=before.large, rest=before.rest if is_same_model else options.rest)
        llm.loaded.options = options.changed(system_prompt=options.system_prompt)
        changed["llm"] = llm
    return replace(own, **changed)
