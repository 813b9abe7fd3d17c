"""A running conversation on the desktop's own devices, for tests with a sound system of their own (`pulse.py`)."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest
from rich.console import Console

from agent.commands.desktop import hold
from agent.conversation.event_log import Event
from agent.conversation.observer import Sink
from agent.engines.host import ModelHost
from agent.settings.load import Settings
from processors.llm.options import LLMOptions
from tests.support.house import SPEECH, WITHOUT_REFLEXES
from tests.support.pulse import RATE_HZ as PULSE_HZ
from tests.support.pulse import PulseServer
from tests.support.scripted_engines import RATE_HZ
from tests.support.scripted_llm import ScriptedLLM
from transports.desktop import DesktopTransport
from transports.desktop_devices import load_sounddevice, refresh_devices

PATIENCE_SECS = 60.0
TONE_PEAK = 16_000


def find(server: PulseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process find the devices of that server, and no others."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    refresh_devices(load_sounddevice())


class Talk:
    """A running conversation: its events, and what its transport knows."""

    def __init__(self, transport: DesktopTransport) -> None:
        self.transport = transport
        self.events: list[Event] = []
        self.output = io.StringIO()

    def count(self, name: str) -> int:
        return sum(event["event"] == name for event in self.events)

    def texts(self, name: str) -> list[str]:
        return [event["text"] for event in self.events if event["event"] == name]

    async def until(self, condition: Callable[[], bool], patience_secs: float = PATIENCE_SECS) -> None:
        try:
            async with asyncio.timeout(patience_secs):
                while not condition():
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            error.add_note(f"{self.transport.audio.counts}\n" + "\n".join(map(str, self.events[-60:])))
            raise

    async def heard(self) -> None:
        """Wait until the device gives sound."""
        counts = self.transport.audio.counts
        before = counts.n_blocks
        await self.until(lambda: self.transport.audio.stream_format is not None and counts.n_blocks > before)


@asynccontextmanager
async def talking(host: ModelHost, settings: Settings | None = None, sinks: Sequence[Sink] = ()) -> AsyncIterator[Talk]:
    """Hold a conversation until the block ends."""
    talk = Talk(DesktopTransport(RATE_HZ))
    stopping = asyncio.Event()
    console = Console(file=talk.output, width=200)
    sinks = [talk.events.append, *sinks]
    running = asyncio.create_task(hold(host, settings or WITHOUT_REFLEXES, talk.transport, console, stopping, sinks))
    try:
        await talk.heard()
        yield talk
    finally:
        stopping.set()
        await running


def options(server: ScriptedLLM) -> LLMOptions:
    """How that server is asked."""
    return LLMOptions(server.base_url, "scripted")


def loud_secs(sound_s16: np.ndarray) -> float:
    """How long it was louder than a sixteenth of the tone."""
    return float((np.abs(sound_s16.astype(int)) > TONE_PEAK // 16).sum()) / PULSE_HZ


async def ask(talk: Talk, pulse: PulseServer, recording: str) -> None:
    """Ask, and wait for the end of the answer."""
    n_before = talk.count("bot_stopped_speaking")
    await asyncio.to_thread(pulse.say, SPEECH / recording)
    await talk.until(lambda: talk.count("bot_stopped_speaking") > n_before)
