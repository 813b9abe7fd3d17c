"""`describe` of Wyoming while 4 people talk: `python -m tests.bench.describe [--secs 60] [--engines "--stt ..."]`.

The real server in a process of its own, with the engines of `sotto serve` unless others are named; callers over
WebSockets ask one spoken question after the other. Each `describe` has a connection of its own, as those of Home
Assistant have.
"""

import argparse
import asyncio
import re
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from wyoming.client import AsyncTcpClient
from wyoming.info import Describe, Info

from tests.bench.table import percentile, show
from tests.support.house import SPEECH
from tests.support.served import Served, serving
from tests.support.websocket_caller import Caller, calling
from transports.recording import load_recording

N_CALLERS = 4
QUESTIONS = ("capital_of_germany.wav", "five_minutes.wav", "how_far_is_the_moon.wav")
BETWEEN_SECS = 0.1
# Home Assistant waits no longer.
LATE_MS = 1000.0
WAIT_SECS = 30.0


async def described(port: int, secs: float) -> list[float]:
    """Milliseconds from the connection to the whole `info`, again and again."""
    found: list[float] = []
    ends_secs = time.monotonic() + secs
    while time.monotonic() < ends_secs:
        begun_secs = time.monotonic()
        async with AsyncTcpClient("127.0.0.1", port, WAIT_SECS, WAIT_SECS) as client:
            await client.write_event(Describe().event())
            event = await client.read_event()
            assert event is not None
            assert Info.is_type(event.type)
        found.append((time.monotonic() - begun_secs) * 1000)
        await asyncio.sleep(BETWEEN_SECS)
    return found


async def talk(caller: Caller) -> None:
    """Ask, and ask on when the agent has said what it has to say."""
    while True:
        for name in QUESTIONS:
            n_turns = len(caller.named("bot_stopped_speaking"))
            caller.say(load_recording(SPEECH / name).audio_s16)
            await caller.until(lambda n=n_turns: len(caller.named("bot_stopped_speaking")) > n)


async def measured(served: Served, secs: float) -> tuple[list[float], list[float], int]:
    """Milliseconds without conversations and with them, and how many turns these had meanwhile."""
    (port,) = [int(found[1]) for line in served.lines if (found := re.search(r"wyoming: tcp://[\d.]+:(\d+)", line))]
    quiet = await described(port, min(secs, 10))
    async with AsyncExitStack() as calls:
        callers = [
            await calls.enter_async_context(calling(served.url.replace("http", "ws") + "/api/ws"))
            for _ in range(N_CALLERS)
        ]
        for caller in callers:
            await caller.join()
            caller.begin_to_speak()
        talking = [asyncio.create_task(talk(caller)) for caller in callers]
        busy = await described(port, secs)
        n_turns = sum(len(caller.named("bot_stopped_speaking")) for caller in callers)
        for one in talking:
            one.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
    return quiet, busy, n_turns


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--secs", type=float, default=60.0)
    parser.add_argument("--engines", default="", help="further arguments of sotto serve")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), "--wyoming", "0", *given.engines.split()) as served,
    ):
        quiet, busy, n_turns = asyncio.run(measured(served, given.secs))
    rows = [
        ("alone, p50 / p99", f"{percentile(quiet, 50):.1f} / {percentile(quiet, 99):.1f} ms", ""),
        (f"while {N_CALLERS} talk ({n_turns} turns), p50", f"{percentile(busy, 50):.1f} ms", ""),
        (f"while {N_CALLERS} talk, p99", f"{percentile(busy, 99):.1f} ms", "≤ 100 ms"),
        (f"of {len(busy)}, later than {LATE_MS:.0f} ms", str(sum(one > LATE_MS for one in busy)), "0"),
    ]
    show("describe", rows)


if __name__ == "__main__":
    main()
