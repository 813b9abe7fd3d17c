"""One measurement: a fresh server, so many callers, and a window of time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from tests.bench.sessions.callers import Caller, call, encoded, spoken
from tests.bench.sessions.lateness import Heard
from tests.bench.sessions.revision import serve_of
from tests.bench.sessions.server import Report, Window, Wiring, serve
from tests.bench.table import percentile
from tests.support.scripted_llm import Reply, ScriptedLLM

# Until buffers are full and everything has been used once.
SETTLE_SECS = 4.0
START_TIMEOUT_SECS = 60
END_TIMEOUT_SECS = 20
ANSWER = Reply("Berlin is ", "the capital ", "of Germany.")


@dataclass(frozen=True)
class Build:
    """Whose server it is.

    Attributes:
        wiring: Pipecat's own, or the house's.
        folder: Of another revision's files; None: this one.
        revision: What that is called.
    """

    wiring: Wiring
    folder: Path | None = None
    revision: str = ""

    @property
    def name(self) -> str:
        """In tables."""
        return self.revision or self.wiring


@dataclass(frozen=True)
class Measured:
    """What one wiring did with so many sessions.

    Attributes:
        wiring: stock, ours, or another revision of ours.
        n_sessions: How many callers there were.
        window_secs: How long it was measured.
        cpu_percent: Of one core, used by the server.
        callers_percent: Of one core, used by the callers and the scripted language model.
        others_percent: Of one core, used by everything else on the machine.
        sessions: What each heard; sessions that never heard anything are missing.
        memory_mb: What each session after the first added; for one session, what the first did.
        callers_late_p95_ms: How late the callers themselves sent.
        n_judged: How many pauses smart-turn judged.
        n_answers: How often the language model was asked.
    """

    wiring: str
    n_sessions: int
    window_secs: float
    cpu_percent: float
    callers_percent: float
    others_percent: float
    sessions: tuple[Heard, ...]
    memory_mb: float
    callers_late_p95_ms: float
    n_judged: int
    n_answers: int


class Load:
    """What processes and the whole machine have used, so far."""

    def __init__(self, server: psutil.Process) -> None:
        self._machine = psutil.cpu_times()
        self._started_secs = time.monotonic()
        self._server = server
        self._server_secs = _used_secs(server)
        self._own = psutil.Process()
        self._own_secs = _used_secs(self._own)

    def percent(self) -> tuple[float, float, float]:
        """Of one core, since this was made: the server, this process, everything else."""
        elapsed_secs = time.monotonic() - self._started_secs
        server_secs = _used_secs(self._server) - self._server_secs
        own_secs = _used_secs(self._own) - self._own_secs
        all_secs = _busy_secs(psutil.cpu_times()) - _busy_secs(self._machine)
        others_secs = max(0.0, all_secs - server_secs - own_secs)
        return tuple(100 * secs / elapsed_secs for secs in (server_secs, own_secs, others_secs))  # pyright: ignore[reportReturnType]


async def measure(build: Build, n_sessions: int, window_secs: float) -> Measured:
    """Start a server, call it, listen for a while, and end it.

    Args:
        build: Which server.
        n_sessions: How many callers.
        window_secs: How long it is measured once all of them are there.
    """
    async with ScriptedLLM() as llm, _serving(build, llm.base_url) as (url, process, line):
        llm.otherwise = ANSWER
        packets = encoded(spoken())
        firsts = [index * len(packets) // n_sessions for index in range(n_sessions)]
        idle_mb = _resident_mb(process)
        callers = await call(url, packets, firsts[:1])
        await asyncio.sleep(SETTLE_SECS)
        first_mb = _resident_mb(process)
        callers += await call(url, packets, firsts[1:])
        await asyncio.sleep(SETTLE_SECS if n_sessions > 1 else 0.0)
        n_asked, n_sent = len(llm.requests), [len(caller.tape.late_secs) for caller in callers]
        load, start_secs = Load(process), time.monotonic()
        await asyncio.sleep(window_secs)
        end_secs = time.monotonic()
        server_percent, own_percent, others_percent = load.percent()
        last_mb = _resident_mb(process)
        late_secs = _late_secs(callers, n_sent)
        n_answers = len(llm.requests) - n_asked
        report = await asyncio.to_thread(_ask, line, Window(start_secs, end_secs))
        await asyncio.gather(*(caller.leave() for caller in callers))
    return Measured(
        wiring=build.name,
        n_sessions=n_sessions,
        window_secs=end_secs - start_secs,
        cpu_percent=server_percent,
        callers_percent=own_percent,
        others_percent=others_percent,
        sessions=tuple(report.sessions),
        memory_mb=(last_mb - first_mb) / (n_sessions - 1) if n_sessions > 1 else first_mb - idle_mb,
        callers_late_p95_ms=percentile(late_secs, 95) * 1000,
        n_judged=report.n_judged,
        n_answers=n_answers,
    )


@asynccontextmanager
async def _serving(build: Build, llm_url: str) -> AsyncIterator[tuple[str, psutil.Process, Connection]]:
    """A server in a process of its own: its address, its process, and the line to it."""
    context = get_context("spawn")
    line, far_end = context.Pipe()
    if build.folder:
        arguments = (str(build.folder), build.wiring, llm_url, far_end)
        server = context.Process(target=serve_of, args=arguments, daemon=True)
    else:
        server = context.Process(target=serve, args=(build.wiring, llm_url, far_end), daemon=True)
    server.start()
    far_end.close()
    try:
        if not await asyncio.to_thread(line.poll, START_TIMEOUT_SECS):
            raise TimeoutError(f"the server ({build.name}) does not listen after {START_TIMEOUT_SECS} s")
        yield line.recv(), psutil.Process(server.pid), line
        line.send(None)
        await asyncio.to_thread(server.join, END_TIMEOUT_SECS)
    finally:
        server.kill()
        server.join()
        line.close()


def _ask(line: Connection, window: Window) -> Report:
    line.send(window)
    return line.recv()


def _late_secs(callers: list[Caller], n_sent: list[int]) -> list[float]:
    """How late each packet was handed over, but for those that had been sent before."""
    return [late for caller, n in zip(callers, n_sent, strict=True) for late in caller.tape.late_secs[n:]]


def _used_secs(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _busy_secs(times: Any) -> float:
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


def _resident_mb(process: psutil.Process) -> float:
    return process.memory_info().rss / 2**20
