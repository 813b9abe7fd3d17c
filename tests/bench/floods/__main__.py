"""Time of a live call's pong under each flood: `python -m tests.bench.floods [--descriptors 256] [--door uvicorn]`.

Three processes: the server, the flood (which gives way to both others), and here the call. Latencies are those of
WebSocket pings every 20 ms, less those of the same call before the flood.
"""

import argparse
import asyncio
import multiprocessing as mp
import os
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import get_args

from websockets.exceptions import ConnectionClosed

from tests.bench.floods.flood import FLOODS, OVER_TLS, TOKEN, anybody, flood
from tests.bench.floods.server import Kind, serve
from tests.bench.table import percentile, show
from tests.support.websocket_caller import calling

PING_SECS = 0.02
WAIT_SECS = 20


async def pongs(caller: object, secs: float) -> list[float]:
    """Milliseconds to each pong; 1e9 for those that did not come."""
    found: list[float] = []
    ends_secs = time.monotonic() + secs
    while time.monotonic() < ends_secs:
        started_secs = time.monotonic()
        try:
            await asyncio.wait_for(await caller.line.ping(), WAIT_SECS)  # pyright: ignore
        except (TimeoutError, ConnectionClosed):
            return [*found, float("inf")]
        found.append((time.monotonic() - started_secs) * 1000)
        await asyncio.sleep(PING_SECS)
    return found


async def under(name: str, url: str, secs: float) -> tuple[list[float], list[float], int, int]:
    """Pongs before and under a flood, how many connections it made, and what /health then says (0: nothing)."""
    spawn = mp.get_context("spawn")
    here, there = spawn.Pipe()
    stop = spawn.Event()
    async with calling(
        url.replace("http", "ws") + "/api/ws",
        additional_headers={"Authorization": f"Bearer {TOKEN}"},
        ssl=trusted(url),
    ) as caller:
        await caller.join()
        caller.begin_to_speak()
        await pongs(caller, 2)
        before = await pongs(caller, secs)
        process = spawn.Process(target=flood, args=(name, url, stop, there))
        process.start()
        os.setpriority(os.PRIO_PROCESS, process.pid or 0, 19)
        await asyncio.to_thread(here.recv)
        await asyncio.sleep(2)
        during = await pongs(caller, secs)
        status = await health(url)
        stop.set()
        n_made = await asyncio.to_thread(here.recv)
        process.join()
    return before, during, n_made, status


def trusted(url: str) -> ssl.SSLContext | None:
    """What a caller of that address encrypts with."""
    return anybody() if url.startswith("https") else None


async def health(url: str) -> int:
    """The status of /health during the flood; 0 if it does not come within two seconds."""
    host, _, port = url.rpartition("/")[2].partition(":")
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host, int(port), ssl=trusted(url))
            writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return int(answer.split()[1])
    except (TimeoutError, OSError, IndexError):
        return 0


def measure(kind: Kind, name: str, n_descriptors: int, secs: float) -> list[str]:
    """One row."""
    spawn = mp.get_context("spawn")
    here, there = spawn.Pipe()
    is_https = name in OVER_TLS
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        server = spawn.Process(target=serve, args=(kind, n_descriptors, str(log), {"token": TOKEN}, is_https, there))
        server.start()
        url = here.recv().replace("http", "https" if is_https else "http")
        before, during, n_made, status = asyncio.run(under(name, url, secs))
        here.send(None)
        memory_bytes, n_open = here.recv()
        server.join(10)
        server.kill()
        n_logged = log.stat().st_size
    added = percentile(during, 99) - percentile(before, 99)
    row = [
        kind,
        name,
        f"{percentile(before, 99):.1f}",
        f"{percentile(during, 50):.1f} / {percentile(during, 99):.1f}",
        f"{added:.1f}",
        f"{n_made}",
        f"{status or 'none'}",
        f"{n_logged / 1024:.0f}",
        f"{memory_bytes / 2**20:.0f}",
        f"{n_open}",
    ]
    # A long run tells as it goes.
    print(" | ".join(row), file=sys.stderr, flush=True)
    return row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--descriptors", type=int, default=1024)
    parser.add_argument("--door", choices=get_args(Kind), nargs="+", default=list(get_args(Kind)))
    parser.add_argument("--flood", choices=list(FLOODS), nargs="+", default=list(FLOODS))
    parser.add_argument("--secs", type=float, default=8.0)
    asked = parser.parse_args()
    rows = [measure(door, name, asked.descriptors, asked.secs) for name in asked.flood for door in asked.door]
    columns = ("door", "flood", "p99 before, ms", "p50 / p99 under it, ms", "p99 added, ms", "connections")
    show(
        f"a call's pong under floods, {asked.descriptors} descriptors",
        rows,
        (*columns, "/health", "log, KB", "memory, MB", "open"),
    )


if __name__ == "__main__":
    main()
