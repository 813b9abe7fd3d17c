"""`sotto load` against one process and against two workers, by turns in one run: how long answers take at what cost.

Ears and language model are scripted servers in a process of their own, the voice is espeak-ng: what is measured is how
calls are held, with real voice activity and turn detection. Each build is measured several times; medians are compared.

    uv run python -m tests.bench.workers --calls 4 8 16
"""

import argparse
import asyncio
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from tests.bench.table import median, show
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.served import Served, serving
from tests.support.transcription_server import serve_transcriptions

WORKERS = (1, 2)
HEADER = ("calls", "figure", *(f"{n} worker{'s' if n > 1 else ''}" for n in WORKERS), "ratio")


@dataclass(frozen=True)
class Figures:
    """Of one load.

    Attributes:
        answer_secs: The middle answer, and that which 95 of 100 are no slower than.
        lost: Calls that were refused or lost, and questions without an answer.
        cores: What the server used, all its processes together.
        memory_mb: The same of memory, what they share counted once.
    """

    answer_secs: tuple[float, float]
    lost: int
    cores: float
    memory_mb: float


def _answer(line: Connection) -> None:
    """Be the scripted servers until the other end says so."""

    async def run() -> None:
        llm = ScriptedLLM()
        llm.otherwise = Reply("I think that there are about forty of them.")
        with serve_transcriptions(keep_alive=True) as ears:
            async with llm:
                line.send((ears.base_url, llm.base_url))
                await asyncio.to_thread(line.recv)

    asyncio.run(run())


@contextmanager
def scripted() -> Iterator[tuple[str, ...]]:
    """The scripted servers; flags of `sotto serve` that name them."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_answer, args=(there,))
    process.start()
    ears, llm = here.recv()
    values = {
        "stt.engine": "openai",
        "stt.base_url": ears,
        "stt.model": "whisper-1",
        "llm.base_url": llm,
        "llm.model": "scripted",
        "tts.engine": "espeak",
        "server.max_sessions": 64,
        "server.max_chats": 64,
    }
    try:
        yield "--llm", "endpoint", *(part for key, value in values.items() for part in ("--set", f"{key}={value}"))
    finally:
        here.send(None)
        process.join()


def family_of(served: Served) -> list[psutil.Process]:
    """The server's processes."""
    first = psutil.Process(served.process.pid)
    return [first, *first.children(recursive=True)]


def cpu_secs(served: Served) -> float:
    """What they have used so far."""
    return sum(sum(one.cpu_times()[:2]) for one in family_of(served))


def memory_mb(served: Served) -> float:
    """What they hold."""
    sizes = [one.memory_full_info() for one in family_of(served)]
    return sum(getattr(size, "pss", size.rss) for size in sizes) / 2**20


def measure(served: Served, n_calls: int, secs: float, door: str) -> Figures:
    """Load it once."""
    command = [sys.executable, "-m", "agent.cli", "load", "--url", served.url, "--door", door, "--json", "-"]
    command += ["--calls", str(n_calls), "--secs", str(secs), "--max-p95", "60", "--max-unanswered", "100"]
    began_secs, used_secs = time.monotonic(), cpu_secs(served)
    done = subprocess.run(command, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    took_secs = time.monotonic() - began_secs
    answers = told["voice_to_voice_secs"]
    lost = sum(told["refused"].values()) + sum(told["lost"].values()) + told["questions"] - told["answered"]
    cores = (cpu_secs(served) - used_secs) / took_secs
    return Figures((answers["p50"], answers["p95"]), lost, cores, memory_mb(served))


def compare(n_calls: int, runs: int, secs: float, door: str) -> list[tuple[str, ...]]:
    """By turns, each in a fresh server; rows of the table."""
    found: dict[int, list[Figures]] = {n: [] for n in WORKERS}
    with scripted() as flags:
        for _ in range(runs):
            for n in WORKERS:
                with (
                    tempfile.TemporaryDirectory() as folder,
                    serving(Path(folder), *flags, "--set", f"server.workers={n}") as served,
                ):
                    found[n].append(measure(served, n_calls, secs, door))
    rows = (
        ("answer p50, s", lambda one: one.answer_secs[0]),
        ("answer p95, s", lambda one: one.answer_secs[1]),
        ("lost or unanswered", lambda one: float(one.lost)),
        ("cores", lambda one: one.cores),
        ("memory, MB", lambda one: one.memory_mb),
    )
    table: list[tuple[str, ...]] = []
    for name, value in rows:
        alone, spread = (median([value(one) for one in found[n]]) for n in WORKERS)
        ratio = f"{spread / alone:.2f}" if alone else "-"
        table.append((str(n_calls), name, f"{alone:.3f}", f"{spread:.3f}", ratio))
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--secs", type=float, default=60.0, help="of each load")
    parser.add_argument("--runs", type=int, default=3, help="of each build")
    parser.add_argument("--door", default="webrtc", help="webrtc, websocket or realtime")
    wanted = parser.parse_args()
    rows = [row for n in wanted.calls for row in compare(n, wanted.runs, wanted.secs, wanted.door)]
    show(f"one process and two workers, medians of {wanted.runs} runs, {wanted.door}", rows, HEADER)


if __name__ == "__main__":
    main()
