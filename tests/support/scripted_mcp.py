"""A fake at the edge: a server of tools over HTTP, by hand, whose answers a test writes to the byte."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

READS = {"readOnlyHint": True}
REFUSED = {"error": {"code": -32601, "message": "Method not found"}}


@dataclass(frozen=True)
class Raw:
    """An answer as it is.

    Attributes:
        headers: By name.
        body: Sent as it is.
    """

    headers: dict[str, str]
    body: bytes


Answer = Callable[[str, dict[str, Any]], dict[str, Any] | Raw | None]


def tool(name: str, schema: dict[str, Any] | None = None, description: str = "Does it.") -> dict[str, Any]:
    """What a list of tools holds of one that only reads."""
    return {
        "name": name,
        "description": description,
        "inputSchema": schema or {"type": "object"},
        "annotations": READS,
    }


@asynccontextmanager
async def scripted_mcp(answer: Answer) -> AsyncIterator[str]:
    """One that is there while this lasts; its address.

    Args:
        answer: By method and parameters the result; None where it knows no such method.
    """
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        talks.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await _answer_one(reader, writer, answer)
        finally:
            talks.discard(task)
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    finally:
        server.close()
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def _answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next((line.split(":")[1] for line in head.splitlines() if line.startswith("content-length:")), "0")
    request = json.loads(await reader.readexactly(int(length)) or b"{}")
    if "id" not in request:
        status = "202 Accepted" if request else "405 Method Not Allowed"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        return
    if request["method"] == "initialize":
        about = {"name": "scripted", "version": "1"}
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": about}
    else:
        result = answer(request["method"], request.get("params") or {})
    if not isinstance(result, Raw):
        told = REFUSED if result is None else {"result": result}
        body = json.dumps({"jsonrpc": "2.0", "id": request["id"], **told}).encode()
        result = Raw({"Content-Type": "application/json"}, body)
    headers = {**result.headers, "Content-Length": str(len(result.body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + result.body)
    await writer.drain()
