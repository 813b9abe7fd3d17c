"""How long recall takes among many facts, and how late the event loop is meanwhile.

    uv run python -m tests.bench.recall [--facts 10000] [--rounds 500]

Facts are sentences of common words and names, in two owners' hands; questions share common words with many of them.
Two conversations ask at once and keep a turn now and then, as in a call. The loop's lag is how much later than asked a
sleep of a millisecond ends, against the same without any recall. Targets: recall p99 <= 50 ms, lag p99 <= 5 ms.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from agent.memory.item import Item
from agent.memory.memory import FILE, Memory
from agent.memory.store import MemoryStore
from agent.memory.tools import Recall, memory_tools
from agent.memory.user_memory import UserMemory
from tests.bench.table import percentile, show

NAMES = (
    "Anna Ben Carla David Emma Felix Greta Hugo Iris Jonas Klara Leo Mara Nils Olga Paul Rosa Simon Tina Viktor".split()
)
THINGS = "birthday doctor dentist car bicycle garden kitchen key password school holiday flight meeting coffee".split()
ABOUT = "is on is near likes lost found bought sold wants needs remembers forgot paid for called about".split()
WHEN = [f"{day} {month}" for month in ("January", "April", "June", "October") for day in range(1, 29)]
QUESTIONS = (
    "when is the {thing} of {name} that I told you about",
    "what did I say about the {thing} on {when}",
    "where is the {thing}",
    "{name}",
    "what do you know about {name} and the {thing} and {name} in the {when}",
)


def fact(chance: random.Random, number: int) -> str:
    """A sentence like those that people have remembered."""
    words = " ".join(chance.choices(ABOUT, k=4))
    return (
        f"The {chance.choice(THINGS)} of {chance.choice(NAMES)} {words} the {chance.choice(THINGS)} "
        f"of {chance.choice(NAMES)} on {chance.choice(WHEN)}, number {number}."
    )


def question(chance: random.Random) -> str:
    """What is looked for."""
    values = {"thing": chance.choice(THINGS), "name": chance.choice(NAMES), "when": chance.choice(WHEN)}
    return chance.choice(QUESTIONS).format(**values)


async def lags_ms(work: Callable[[], Awaitable[object]]) -> list[float]:
    """How late the loop is, each millisecond, until a work is done."""
    lags: list[float] = []
    done = asyncio.ensure_future(work())
    while not done.done():
        start = time.perf_counter()
        await asyncio.sleep(0.001)
        lags.append((time.perf_counter() - start - 0.001) * 1000)
    await done
    return lags


async def measure(folder: Path, n_facts: int, n_rounds: int) -> None:
    """Fill a memory, ask it, and print the table."""
    chance = random.Random(14)
    store = MemoryStore(folder / FILE)
    items = [
        Item("anna" if number % 5 else "ben", "fact", fact(chance, number), float(number)) for number in range(n_facts)
    ]
    filling = time.perf_counter()
    store.add(items)
    print(f"{n_facts} facts in {time.perf_counter() - filling:.2f} s, {store.path.stat().st_size / 1e6:.1f} MB")
    store.close()
    memory = Memory(store, keeps_turns=True)
    recalls_ms: list[float] = []

    async def converse(name: str) -> None:
        mine = UserMemory(memory, "anna", name)
        (recall,) = [tool for tool in memory_tools(mine) if tool.name == "recall"]
        for number in range(n_rounds // 2):
            start = time.perf_counter()
            await recall.run(Recall.model_validate({"about": question(chance)}))
            recalls_ms.append((time.perf_counter() - start) * 1000)
            if number % 10 == 0:
                turn = Item("anna", "user", question(chance), float(number), name, number)
                await memory.ask(lambda store, turn=turn: store.add([turn]))

    async def idle() -> None:
        await asyncio.sleep(2.0)

    still = await lags_ms(idle)
    busy = await lags_ms(lambda: asyncio.gather(converse("one"), converse("two")))
    start = time.perf_counter()
    await memory.ask(lambda store: store.forget("anna", [2]))
    forgetting_ms = (time.perf_counter() - start) * 1000
    await memory.close()
    rows = [
        (name, *(f"{percentile(times, share):.2f}" for share in (50, 95, 99)), f"{max(times):.2f}", target)
        for name, times, target in (
            ("recall, two at once (ms)", recalls_ms, "p99 <= 50"),
            ("loop lag meanwhile (ms)", busy, "p99 <= 5"),
            ("loop lag of an idle loop (ms)", still, ""),
            ("forgetting one fact (ms)", [forgetting_ms], ""),
        )
    ]
    show(f"recall among {n_facts} facts", rows, ("what", "p50", "p95", "p99", "max", "target"))


def main() -> None:
    """Measure as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=500, help="questions in all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), options.facts, options.rounds))


if __name__ == "__main__":
    main()
