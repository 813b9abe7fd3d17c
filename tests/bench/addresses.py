"""One address of a language model against two, in one run, by turns.

The servers are scripted and run in this process, on the event loop that asks them: what is measured is how requests are
spread, moved on and asked twice, and what that costs, not what a model server can do. Each answers one request at a
time, as a small server does; the others wait for their turn there. A real one that batches gains less by a second
address.

    python -m tests.bench.addresses --rounds 5
"""

import argparse
import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai
from loguru import logger

from processors.address import Group
from processors.addresses import AddressGroup, asked_for
from processors.llm.client import quiet_client
from tests.bench.table import median, percentile, show
from tests.support.scripted_llm import Answer, Reply, Request, ScriptedLLM

FIRST_SECS, TOKEN_SECS, N_TOKENS = 0.05, 0.005, 20
PAUSE_SECS = 0.4
LATE_SECS, LATE_SHARE = 0.6, 0.02
STOPPED_SECS = 2.0
HEDGE_SHARE = 0.05
TURNS, CONVERSATIONS, AT_ONCE = 12, 8, 150

Row = tuple[str, str, str, str]


class OneAtATime(ScriptedLLM):
    """A server that answers one request at a time; `reply` makes each answer."""

    def __init__(self, reply: Callable[[], Answer]) -> None:
        super().__init__()
        self.reply = reply
        self._slot = asyncio.Semaphore(1)

    def _next(self) -> Answer:
        return self.reply()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        async with self._slot:
            await super()._answer(request, writer)


class Conversation:
    """Stands for a history."""


@dataclass
class Seen:
    """Seconds to the first token of each answer, and how many turns had none."""

    first_secs: list[float] = field(default_factory=list)
    n_lost: int = 0


def usual() -> Answer:
    """An answer of twenty tokens."""
    return Reply(*["word "] * N_TOKENS, first_delay_secs=FIRST_SECS, delay_secs=TOKEN_SECS)


def at_once() -> Answer:
    """An answer without any delay."""
    return Reply("Yes.")


def client_at(servers: Sequence[ScriptedLLM], group: AddressGroup | None) -> Any:
    """What asks them; one server as ever, several as a group."""
    return quiet_client(
        servers[0].base_url, "none", silence_secs=30, connect_secs=2, max_event_bytes=1 << 16, addresses=group
    )


async def converse(client: Any, n_turns: int, pause_secs: float, seen: Seen, seed: int) -> None:
    """One conversation: it asks, listens to the end, and waits a moment."""
    rng, own = random.Random(seed), Conversation()
    messages: list[Any] = [{"role": "user", "content": f"I am caller {seed}."}]
    for _ in range(n_turns):
        await asyncio.sleep(rng.uniform(0, 2 * pause_secs))
        started = time.perf_counter()
        first: float | None = None
        try:
            with asked_for(own):
                chunks = await client.chat.completions.create(model="scripted", messages=messages, stream=True)
            async for chunk in chunks:
                if first is None and chunk.choices and chunk.choices[0].delta.content:
                    first = time.perf_counter() - started
        except (openai.OpenAIError, httpx2.HTTPError):
            first = None
        if first is None:
            seen.n_lost += 1
        else:
            seen.first_secs.append(first)


async def run(
    n_servers: int,
    n_conversations: int,
    reply: Callable[[], Answer],
    *,
    n_turns: int = TURNS,
    pause_secs: float = PAUSE_SECS,
    hedge_share: float = 0.0,
    stop_after_secs: float | None = None,
) -> tuple[Seen, AddressGroup | None]:
    """Hold conversations with servers of their own.

    Args:
        n_servers: How many addresses.
        n_conversations: At the same time.
        reply: Makes each answer.
        n_turns: Of each conversation.
        pause_secs: Between two turns, on average.
        hedge_share: Of requests that may be asked twice.
        stop_after_secs: When the first server is stopped.
    """
    seen = Seen()
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(OneAtATime(reply)) for _ in range(n_servers)]
        urls = tuple(one.base_url for one in servers)
        group = AddressGroup(Group("llm", urls, hedge_share=hedge_share)) if n_servers > 1 else None
        client = client_at(servers, group)
        if stop_after_secs is not None:
            stopping = asyncio.get_running_loop().call_later(
                stop_after_secs, lambda: tasks.append(asyncio.ensure_future(servers[0].stop()))
            )
            stack.callback(stopping.cancel)
        tasks: list[asyncio.Future[None]] = []
        async with client:
            await asyncio.gather(
                *(converse(client, n_turns, pause_secs, seen, seed) for seed in range(n_conversations))
            )
        await asyncio.gather(*tasks)
    return seen, group


def now_and_then_late(seed: int) -> Callable[[], Answer]:
    """Answers of which a few begin late."""
    rng = random.Random(seed)
    late = Reply(*["word "] * N_TOKENS, first_delay_secs=LATE_SECS, delay_secs=TOKEN_SECS)
    return lambda: late if rng.random() < LATE_SHARE else usual()


def ms(secs: Sequence[float]) -> str:
    """The median and the 95th percentile."""
    return f"{median(secs) * 1000:.1f} / {percentile(secs, 95) * 1000:.1f} ms"


def ratio(one: Sequence[float], two: Sequence[float]) -> str:
    """Of the medians."""
    return f"{median(two) / median(one):.2f}"


async def first_tokens(rounds: int) -> Row:
    """What many conversations wait for."""
    one, two = Seen(), Seen()
    for _ in range(rounds):
        for n_servers, seen in ((1, one), (2, two)):
            seen.first_secs += (await run(n_servers, CONVERSATIONS, usual))[0].first_secs
    what = f"first token, {CONVERSATIONS} conversations, p50 / p95"
    return what, ms(one.first_secs), ms(two.first_secs), ratio(one.first_secs, two.first_secs)


async def cost(rounds: int) -> Row:
    """CPU of a request; that of the scripted server is the same in both."""
    cpu_ms: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for n_servers, found in cpu_ms.items():
            before = time.process_time()
            await run(n_servers, 1, at_once, n_turns=AT_ONCE, pause_secs=0.0)
            found.append((time.process_time() - before) / AT_ONCE * 1000)
    one, two = median(cpu_ms[1]), median(cpu_ms[2])
    return "CPU of one request, client and server", f"{one:.2f} ms", f"{two:.2f} ms", ratio(cpu_ms[1], cpu_ms[2])


async def lost(rounds: int) -> Row:
    """Turns without a whole answer where the first server is stopped in the middle and stays away."""
    n_lost = {1: 0, 2: 0}
    for _ in range(rounds):
        for n_servers in n_lost:
            n_lost[n_servers] += (await run(n_servers, CONVERSATIONS, usual, stop_after_secs=STOPPED_SECS))[0].n_lost
    of = rounds * CONVERSATIONS * TURNS
    what = f"turns lost where a server is stopped after {STOPPED_SECS:g} s"
    return what, f"{n_lost[1]} of {of}", f"{n_lost[2]} of {of}", ""


async def hedges(rounds: int) -> Row:
    """Two addresses, of which a few answers begin late: without and with asking twice."""
    plain, hedged, n_asked, n_twice = Seen(), Seen(), 0, 0
    for number in range(rounds):
        for share, seen in ((0.0, plain), (HEDGE_SHARE, hedged)):
            reply = now_and_then_late(number)
            found, group = await run(2, 2, reply, n_turns=60, pause_secs=0.05, hedge_share=share)
            seen.first_secs += found.first_secs
            if share and group:
                n_asked, n_twice = n_asked + group.n_asked, n_twice + group.n_hedged

    def shown(secs: Sequence[float]) -> str:
        return f"{median(secs) * 1000:.0f} / {percentile(secs, 99) * 1000:.0f} ms"

    what = f"{LATE_SHARE:.0%} of answers {LATE_SECS:g} s late, two addresses: asked once / some asked twice, p50 / p99"
    return what, shown(plain.first_secs), shown(hedged.first_secs), f"{n_twice} of {n_asked} twice"


async def measure(rounds: int) -> list[Row]:
    """All rows."""
    return [await row(rounds) for row in (first_tokens, cost, lost, hedges)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, by turns")
    options = parser.parse_args()
    logger.remove()
    rows = asyncio.run(measure(options.rounds))
    show(
        "language model at one address and at two (scripted servers in this process)", rows, ("", "one", "two", "ratio")
    )


if __name__ == "__main__":
    main()
