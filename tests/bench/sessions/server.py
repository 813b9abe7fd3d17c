"""The server that is measured, alone in a process of its own, in one wiring or the other.

It says its address when it listens, then answers each window of time that it is sent with what was heard in it.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Literal

from loguru import logger

from agent.server.calls.sessions import LiveSessions
from agent.server.calls.webrtc import WebSessions
from agent.server.speech.jobs import TranscriptionJobs
from agent.server.state import Loaded, ServerState
from agent.settings.load import load_settings
from processors.llm.options import LLMOptions
from tests.bench.sessions.lateness import Heard, Probe
from tests.bench.sessions.stock import StockSessions
from tests.support.house import hosting
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.served import listening

Wiring = Literal["stock", "ours"]
WIRINGS: tuple[Wiring, ...] = ("stock", "ours")
# Every stretch of speech is heard as this; it can be the end of a turn.
WORDS = "What is the capital of Germany?"
MODEL = "scripted"


@dataclass(frozen=True)
class Window:
    """From when till when on the monotonic clock, which is the same in all processes of a machine."""

    start_secs: float
    end_secs: float


@dataclass(frozen=True)
class Report:
    """What was heard in a window.

    Attributes:
        sessions: By each session.
        n_judged: How many pauses smart-turn judged.
    """

    sessions: list[Heard]
    n_judged: int


def serve(wiring: Wiring, llm_url: str, line: Connection) -> None:
    """Serve until the other end of the line asks for nothing more.

    Args:
        wiring: Which.
        llm_url: A scripted language model in another process.
        line: Gets the address, then a Report for each Window; ends with None.
    """
    logger.remove()
    asyncio.run(_serve(wiring, llm_url, line))


async def _serve(wiring: Wiring, llm_url: str, line: Connection) -> None:
    probe = Probe()
    probe.watch()
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "line") as waiting:
        async with _listening(wiring, llm_url) as url:
            line.send(url)
            while (window := await loop.run_in_executor(waiting, line.recv)) is not None:
                start_secs, end_secs = window.start_secs, window.end_secs
                line.send(Report(probe.heard(start_secs, end_secs), probe.n_judged(start_secs, end_secs)))


@asynccontextmanager
async def _listening(wiring: Wiring, llm_url: str) -> AsyncIterator[str]:
    settings = load_settings({"server.max_sessions": 64})
    state = ServerState(settings)
    # As many texts as there may ever be utterances.
    stt = ScriptedRecognizerEngine(*[WORDS] * 10_000)
    async with hosting(stt, LLMOptions(llm_url, MODEL), ScriptedSynthesizer()) as host:
        if wiring == "stock":
            stock = StockSessions(host, WORDS)
            async with listening(state, stock.app()) as url:
                yield url
            await stock.close()
            return
        jobs = TranscriptionJobs(host, max_jobs=1, max_audio_secs=60)
        sessions = LiveSessions(host, settings, state.histories)
        peers = WebSessions(sessions)
        state.loaded = Loaded(host, jobs, sessions, peers)
        async with listening(state) as url:
            yield url
        await sessions.close()
        await peers.close()
        await jobs.close(timeout_secs=5)
