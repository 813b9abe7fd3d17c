"""Memory of the server while its language model does not end: `python -m tests.bench.endless [--shape words]`.

Three processes: the model, which writes as fast as it is read until it is hung up on; the server, on scripted speech
engines; and here a call with spoken answers, and typed questions beside it. The figure is the highest resident memory
over what it was after an ordinary answer, in MB.
"""

import argparse
import asyncio
import json
import multiprocessing as mp
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

import httpx
import psutil
from loguru import logger

from agent.server.calls.garbage import set_aside_what_stays
from processors.llm.options import LLMOptions
from tests.bench.table import show
from tests.support.served import serving_page
from tests.support.speech_callers import NotingEngine
from tests.support.websocket_caller import Caller, calling

LOOK_SECS = 0.02
TURN_SECS = 60.0
ORDINARY = "hi"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"


def event(delta: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


def call(arguments: str) -> bytes:
    return event({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "clock", "arguments": arguments}}]})


# What is written again and again; what stands before it, once.
SHAPES: dict[str, tuple[bytes, bytes]] = {
    "words": (b"", event({"content": "one two three four. "})),
    "sentences of 4 KB": (b"", event({"content": "one two three four five six seven. " * 120})),
    "digits": (b"", event({"content": "1234567890" * 100})),
    "events of 1 MB": (b"", event({"content": "x" * 2**20})),
    "one event": (b'data: {"choices": [{"index": 0, "delta": {"content": "', b"x" * 2**16),
    "one line": (b"", b"x" * 2**16),
    "thoughts": (event({"content": "<think>"}), event({"content": "hm, let me see. "})),
    "reasoning": (b"", event({"reasoning_content": "hm, let me see. "})),
    "arguments": (b"", call("[1, 2, 3, ")),
    "nothing": (b"", event({"content": ""})),
    "comments": (b"", b": keep-alive\n\n"),
    "spaces": (b"", event({"content": " \n" * 50})),
}


def model(line: Connection) -> None:
    """The language model, which is asked for a shape by its name; sends its port."""
    asyncio.run(_model(line))


async def _model(line: Connection) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            n_bytes = next((int(one.split(":")[1]) for one in head.split("\r\n") if "content-length" in one), 0)
            body = json.loads(await reader.readexactly(n_bytes) or b"{}")
            writer.write(HEAD)
            # A question without an answer stands before the next one.
            asked = body["messages"][-1]["content"]
            shape = next((name for name in sorted(SHAPES, reverse=True) if asked.startswith(name)), ORDINARY)
            if shape == ORDINARY:
                _write(writer, event({"content": "Hello."}) + b"data: [DONE]\n\n")
                writer.write(b"0\r\n\r\n")
            else:
                first, again = SHAPES[shape]
                again = again * max(1, 4096 // len(again))
                _write(writer, first) if first else None
                while not reader.at_eof():
                    _write(writer, again)
                    await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    line.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def serve(line: Connection, port: int) -> None:
    """The server; sends its address."""
    logger.remove()
    logger.add(sys.stderr, level="CRITICAL")
    asyncio.run(_serve(line, port))


async def _serve(line: Connection, port: int) -> None:
    options = LLMOptions(f"http://127.0.0.1:{port}/v1", "endless", reasoning_timeout_secs=10.0)
    async with serving_page(NotingEngine(), options) as running:
        set_aside_what_stays()
        line.send(running.url)
        await asyncio.get_running_loop().run_in_executor(None, line.recv)


async def turn(caller: Caller, client: httpx.AsyncClient, text: str) -> None:
    """One question aloud and one in writing, both to the end of their answers."""
    n_before, n_events = len(caller.named("llm_done")) + len(caller.named("error")), len(caller.events)
    await caller.tell({"type": "text", "text": text})
    answer = await client.post("/api/chat", json={"text": text})
    answer.raise_for_status()
    ends_secs = time.monotonic() + TURN_SECS
    while len(caller.named("llm_done")) + len(caller.named("error")) <= n_before and time.monotonic() < ends_secs:
        await asyncio.sleep(0.05)
    await asyncio.sleep(2.0)
    if text != ORDINARY:
        await caller.tell({"type": "interrupt"})
        await asyncio.sleep(0.5)
    caller.events[:n_events] = []


async def measure(url: str, pid: int, shapes: list[str], n_turns: int) -> list[list[str]]:
    """A row for each shape: memory after an ordinary answer, and the highest after that."""
    server, highest = psutil.Process(pid), 0

    async def look() -> None:
        nonlocal highest
        while True:
            highest = max(highest, server.memory_info().rss)
            await asyncio.sleep(LOOK_SECS)

    looking = asyncio.create_task(look())
    rows: list[list[str]] = []
    async with httpx.AsyncClient(base_url=url, timeout=2 * TURN_SECS) as client:
        for shape in shapes:
            async with calling(url.replace("http", "ws") + "/api/ws") as caller:
                await caller.join()
                caller.begin_to_speak()
                await turn(caller, client, ORDINARY)
                before = highest = server.memory_info().rss
                told: list[str] = []
                for _ in range(n_turns):
                    await turn(caller, client, shape)
                    told += [one["message"] for one in caller.named("error")]
            over = f"{(highest - before) / 2**20:+.0f}"
            rows.append([shape, f"{before / 2**20:.0f}", over, str(len(told)), (told or ["-"])[0][:90]])
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    looking.cancel()
    return rows


@contextmanager
def running(work: Callable[..., None], *arguments: object) -> Iterator[tuple[Any, int]]:
    """A process: what it sends first, and its id."""
    spawn = mp.get_context("spawn")
    line, there = spawn.Pipe()
    process = spawn.Process(target=work, args=(there, *arguments), daemon=True)
    process.start()
    try:
        yield line.recv(), process.pid or 0
    finally:
        process.kill()
        process.join()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=list(SHAPES), nargs="+", default=list(SHAPES))
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    with running(model) as (port, _), running(serve, port) as (url, pid):
        rows = asyncio.run(measure(url, pid, asked.shape, asked.turns))
    columns = ("reply without end", "before, MB", "highest over that, MB", "errors", "the first of them")
    show(f"memory of the server, {asked.turns} endless replies aloud and as many in writing", rows, columns)


if __name__ == "__main__":
    main()
