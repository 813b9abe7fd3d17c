"""Starts servers of tools for tests."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

PEER = Path(__file__).parent / "mcp_peer.py"


def peer_settings(folder: Path, **more: Any) -> dict[str, Any]:
    """Settings of a server over stdio; it writes down what happens in the folder's file `mark`."""
    return {"command": sys.executable, "args": [str(PEER), "--mark", str(folder / "mark")], **more}


@asynccontextmanager
async def http_peer(port: int, folder: Path) -> AsyncIterator[None]:
    """One over HTTP, ended in the midst of whatever it does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PEER),
        *("--http", str(port), "--mark", str(folder / "mark")),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
