"""One soak: warm up, let the callers come, take samples, let them go, and look at what is left."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from tests.bench.sessions.callers import call, encoded, spoken
from tests.bench.soak.callers import Calls, four, visits
from tests.bench.soak.server import AtRest, serve
from tests.support.scripted_llm import Answer, Failure, Reply, ScriptedLLM
from tests.support.websocket_caller import calling

SAMPLE_SECS = 10.0
START_TIMEOUT_SECS = 60
# Connections that were left without a word are let go of by then.
REST_TIMEOUT_SECS = 90.0
ANSWERS: tuple[Answer, ...] = (
    Reply("Paris."),
    Reply("Berlin is ", "the capital ", "of Germany.", delay_secs=0.05),
    Reply(*("And so it went on and on, as such stories do. " for _ in range(6)), delay_secs=0.05),
    Failure(503),
)
ANSWER_SECS = 7.0
# Those that pools of the server may still begin after the warm-up.
POOL_THREADS = 6


@dataclass(frozen=True)
class Sample:
    """The server at one time.

    Attributes:
        at_secs: Since the callers came.
        memory_mb: What it and its children hold that is no file. Pages of libraries count, or not, by what else runs
            on the machine: 12 MB of them were another's, too, while a program with the same libraries was there.
        late_p95_ms: Of microphone frames since the last sample; None where there were none.
        n_descriptors: Open files and sockets.
        n_threads: Of the process.
    """

    at_secs: float
    memory_mb: float
    late_p95_ms: float | None
    n_descriptors: int
    n_threads: int


@dataclass
class Soaked:
    """What came of it.

    Attributes:
        samples: In order.
        calls: What the callers did.
        n_asked: How often the language model was asked.
        before: What the server held after one call of each kind, before the callers came.
        after: And after they had left.
        log_bytes: How much it logged meanwhile.
    """

    calls: Calls
    samples: list[Sample] = field(default_factory=list)
    n_asked: int = 0
    before: AtRest | None = None
    after: AtRest | None = None
    log_bytes: int = 0


async def soak(mins: float, tell: Callable[[Sample], None]) -> Soaked:
    """Hold four calls for so long.

    Args:
        mins: How long.
        tell: Is told each sample.
    """
    calls, ending = Calls(), asyncio.Event()
    soaked = Soaked(calls)
    async with ScriptedLLM() as llm, _serving(llm.base_url) as (url, process, line, log):
        await _warm_up(url, calls)
        soaked.before = await _at_rest(line)
        started_secs, log_bytes = time.monotonic(), log.stat().st_size
        await asyncio.to_thread(_ask, line, "lateness")
        async with asyncio.TaskGroup() as group:
            answers = group.create_task(_answer_differently(llm))
            four(url, calls, ending, group.create_task)
            while (at_secs := time.monotonic() - started_secs) < mins * 60:
                await asyncio.sleep(SAMPLE_SECS - at_secs % SAMPLE_SECS)
                soaked.samples.append(await _sample(process, line, started_secs))
                tell(soaked.samples[-1])
                soaked.n_asked += len(llm.all_requests)
                llm.all_requests.clear()
            ending.set()
            answers.cancel()
        soaked.after = await _at_rest(line, soaked.before)
        soaked.log_bytes = log.stat().st_size - log_bytes
    return soaked


async def _warm_up(url: str, calls: Calls) -> None:
    """One call of each kind, and one visit, so that everything has been used once."""
    (caller,) = await call(url, encoded(spoken()), [0])
    await asyncio.sleep(20)
    await caller.leave()
    async with calling(f"{url.replace('http', 'ws')}/api/ws") as line:
        await line.join()
        line.begin_to_speak()
        line.say(spoken())
        await asyncio.sleep(20)
    once = asyncio.Event()
    visiting = asyncio.create_task(visits(url, calls, once))
    await asyncio.sleep(3)
    once.set()
    await visiting


async def _answer_differently(llm: ScriptedLLM) -> None:
    for answer in itertools.cycle(ANSWERS):
        llm.otherwise = answer
        await asyncio.sleep(ANSWER_SECS)


async def _sample(process: psutil.Process, line: Connection, started_secs: float) -> Sample:
    late_p95_ms = await asyncio.to_thread(_ask, line, "lateness")
    assert late_p95_ms is None or isinstance(late_p95_ms, float)
    family = [process, *process.children(recursive=True)]
    sizes = [member.memory_info() for member in family]
    memory_mb = sum(size.rss - getattr(size, "shared", 0) for size in sizes) / 2**20
    at_secs = time.monotonic() - started_secs
    return Sample(at_secs, memory_mb, late_p95_ms, process.num_fds(), process.num_threads())


async def _at_rest(line: Connection, before: AtRest | None = None) -> AtRest:
    """What the server holds once it holds no more than before, or once it had time enough; without `before`, once
    twice in a row the same."""
    until_secs = time.monotonic() + REST_TIMEOUT_SECS
    last: AtRest | None = None
    while True:
        await asyncio.sleep(2)
        found = await asyncio.to_thread(_ask, line, "rest")
        assert isinstance(found, AtRest)
        settled = found == last if before is None else not more(before, found)
        if settled or time.monotonic() > until_secs:
            return found
        last = found


def more(before: AtRest, after: AtRest) -> list[str]:
    """Of what there is more than before, in words.

    Pools begin their threads when they need them and keep them, so that a thread counts that is of no pool seen before,
    or one of more than the pools together may have.
    """
    counts = ("n_descriptors", "n_tasks", "n_children")
    found = [
        f"{name.removeprefix('n_')}: {getattr(before, name)} -> {getattr(after, name)}"
        for name in counts
        if getattr(after, name) > getattr(before, name)
    ]
    new = {_pool(name) for name in after.threads} - {_pool(name) for name in before.threads}
    found += [f"a thread named {name}" for name in sorted(new)]
    if len(after.threads) > len(before.threads) + POOL_THREADS:
        found.append(f"threads: {len(before.threads)} -> {len(after.threads)}")
    return found


def _pool(thread: str) -> str:
    name, _, number = thread.rpartition("_")
    return name if number.isdecimal() else thread


@asynccontextmanager
async def _serving(llm_url: str) -> AsyncIterator[tuple[str, psutil.Process, Connection, Path]]:
    """The server in a process of its own: its address, its process, the line to it, and its log."""
    context = get_context("spawn")
    line, far_end = context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        server = context.Process(target=serve, args=(llm_url, str(log), far_end), daemon=True)
        server.start()
        far_end.close()
        try:
            if not await asyncio.to_thread(line.poll, START_TIMEOUT_SECS):
                raise TimeoutError(f"the server does not listen after {START_TIMEOUT_SECS} s")
            yield line.recv(), psutil.Process(server.pid), line, log
            line.send(None)
            await asyncio.to_thread(server.join, 30)
        finally:
            server.kill()
            server.join()
            line.close()


def _ask(line: Connection, question: str) -> float | AtRest | None:
    line.send(question)
    return line.recv()
