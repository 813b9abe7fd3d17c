"""A server of tools that is started here: JSON-RPC by lines over its standard input and output.

In:  a command.   Out: the streams that mcp's Client speaks over; the process ends with them.

Our own in place of mcp's: what a server sends has bounds here, why it ended is told, it has a second for its end, and
its standard error becomes lines of the log.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types
import psutil
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from loguru import logger
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage

from agent.tools.mcp_bounds import MessageLines, RefusedLine
from processors.child_process import is_ending

# No more is read, and no more lines are looked at, before the conversations have their turn.
READ_BYTES = 8 * 1024
LINES_A_STEP = 50
# Some print greetings where only messages belong; what writes nothing else is no server.
MAX_STRAYS = 1_000
MAX_STDERR_CHARS = 300
MAX_STDERR_LINES_A_MINUTE = 30
CLOSES_SECS = 1.0
KILLED_SECS = 1.0


@dataclass
class Child:
    """A server's process.

    Attributes:
        name: The server's.
        command: What is started.
        args: What it is started with.
        env: Its further environment.
        without_secrets: Takes out of a text what no message may repeat.
        ended: Set when nothing more comes from it.
        last_words: The latest lines of its standard error.
        problem: Why it is no longer spoken with; empty where it merely ended.
        n_strays: How many lines in a row were no messages, up to now.
        told: What the log says of those.
    """

    name: str
    command: str
    args: Sequence[str]
    env: Mapping[str, str]
    without_secrets: Callable[[str], str]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    last_words: deque[str] = field(default_factory=lambda: deque(maxlen=3))
    problem: str = ""
    n_strays: int = 0
    told: set[str] = field(default_factory=set)
    process: asyncio.subprocess.Process | None = None

    def why(self) -> str:
        """Why it ended, in one line; empty while it runs."""
        if self.problem:
            return self.problem
        if not self.ended.is_set() or self.process is None:
            return ""
        status = self.process.returncode
        words = f": {self.last_words[-1]}" if self.last_words else ""
        return f"{self.command} ended{'' if status is None else f' with exit status {status}'}{words}"


@asynccontextmanager
async def child_streams(child: Child) -> AsyncIterator[tuple[Any, Any]]:
    """Start it, and end it when this is left.

    Args:
        child: Not started yet.

    Raises:
        OSError: It cannot be started.
    """
    child.process = process = await _start(child)
    to_client, read_stream = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write_stream, from_client = anyio.create_memory_object_stream[SessionMessage](0)
    tasks = [
        asyncio.create_task(_read(child, process, to_client), name=f"mcp-{child.name}-out"),
        asyncio.create_task(_write(process, from_client, to_client), name=f"mcp-{child.name}-in"),
        asyncio.create_task(_log(child, process), name=f"mcp-{child.name}-err"),
    ]
    try:
        yield read_stream, write_stream
    finally:
        # Whoever cancels this must not leave a process behind.
        with anyio.CancelScope(shield=True):
            await _end(process)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for stream in (read_stream, write_stream, to_client, from_client):
                stream.close()


async def _start(child: Child) -> asyncio.subprocess.Process:
    if is_ending():
        raise OSError("the program is ending")
    environment = {**get_default_environment(), **child.env}
    # On Windows npx is npx.cmd, which only a look along PATH finds.
    command = shutil.which(child.command, path=environment.get("PATH")) or child.command
    return await asyncio.create_subprocess_exec(
        command,
        *child.args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        # A signal for sotto is none for it, and what it starts in turn ends with it.
        start_new_session=sys.platform != "win32",
    )


async def _read(
    child: Child, process: asyncio.subprocess.Process, to_client: "MemoryObjectSendStream[SessionMessage | Exception]"
) -> None:
    assert process.stdout  # noqa: S101 - it is a pipe
    lines = MessageLines()
    try:
        while not child.problem and (piece := await process.stdout.read(READ_BYTES)):
            for n_lines, line in enumerate(lines.add(piece), 1):
                if (message := _message(child, line)) is not None:
                    await to_client.send(SessionMessage(message))
                if child.problem:
                    break
                if n_lines % LINES_A_STEP == 0:
                    await asyncio.sleep(0)
            # What has come already is read without a pause.
            await asyncio.sleep(0)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
        pass
    finally:
        if not child.problem:
            with contextlib.suppress(TimeoutError):
                # Its status is known a moment after its output has ended.
                await asyncio.wait_for(process.wait(), KILLED_SECS)
        child.ended.set()
        to_client.close()


def _message(child: Child, line: bytes | RefusedLine | int) -> mcp_types.JSONRPCMessage | None:
    """What a line says; of one that is too much, what whoever waits for it is told."""
    if isinstance(line, int):
        _stray(child, line)
        return None
    message = _refused(child, line) if isinstance(line, RefusedLine) else _read_message(child, line)
    if message is None:
        _stray(child, 1)
    else:
        child.n_strays = 0
        child.told.clear()
    return message


def _refused(child: Child, line: RefusedLine) -> mcp_types.JSONRPCMessage | None:
    if line.fault not in child.told:
        child.told.add(line.fault)
        logger.warning(f"mcp {child.name}: a message cannot be used: {line.fault}")
    return line.error()


def _read_message(child: Child, line: bytes) -> mcp_types.JSONRPCMessage | None:
    try:
        return mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        if "none" not in child.told:
            child.told.add("none")
            logger.debug(f"mcp {child.name}: no message, nor may what follows be one: {line[:MAX_STDERR_CHARS]!r}")
        return None


def _stray(child: Child, n_lines: int) -> None:
    """So many further lines are no messages."""
    child.n_strays += n_lines
    if child.n_strays > MAX_STRAYS:
        child.problem = f"{child.command} wrote more than {MAX_STRAYS} lines in a row that are no messages"


async def _write(
    process: asyncio.subprocess.Process,
    from_client: "MemoryObjectReceiveStream[SessionMessage]",
    to_client: "MemoryObjectSendStream[SessionMessage | Exception]",
) -> None:
    assert process.stdin  # noqa: S101 - it is a pipe
    try:
        async for one in from_client:
            text = one.message.model_dump_json(by_alias=True, exclude_unset=True)
            process.stdin.write(text.encode() + b"\n")
            await process.stdin.drain()
    except (OSError, anyio.ClosedResourceError):
        # Its input is closed: whoever waits for an answer is told.
        to_client.close()


async def _log(child: Child, process: asyncio.subprocess.Process) -> None:
    assert process.stderr  # noqa: S101 - it is a pipe
    loop = asyncio.get_running_loop()
    minute, n_lines, rest = loop.time(), 0, b""
    # By pieces: a line may have no end.
    while piece := await process.stderr.read(4096):
        *lines, rest = (rest + piece).split(b"\n")
        rest = rest[:MAX_STDERR_CHARS]
        lines = [line for line in lines if line and not line.isspace()]
        # No more of a piece can be told, and its last words.
        for line in [*lines[: MAX_STDERR_LINES_A_MINUTE + 1], *lines[MAX_STDERR_LINES_A_MINUTE + 1 :][-3:]]:
            text = "".join(one if one.isprintable() else " " for one in line.decode(errors="replace")).strip()
            text = child.without_secrets(text)
            if not text:
                continue
            child.last_words.append(text[:MAX_STDERR_CHARS])
            if loop.time() - minute > 60:
                minute, n_lines = loop.time(), 0
            n_lines += 1
            if n_lines <= MAX_STDERR_LINES_A_MINUTE:
                # It may repeat what it was asked, which is the user's.
                logger.debug(f"mcp {child.name}: {text[:MAX_STDERR_CHARS]}")
            elif n_lines == MAX_STDERR_LINES_A_MINUTE + 1:
                logger.debug(f"mcp {child.name}: more lines of this minute are left out")
        await asyncio.sleep(0)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close its input, give it a second, then end it and all that it has started."""
    if process.stdin:
        process.stdin.close()
    family = _family(process.pid)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), CLOSES_SECS)
    for one in family:
        with contextlib.suppress(psutil.Error):
            one.kill()
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), KILLED_SECS)
    # A grandchild that got away may hold its pipes open.
    process._transport.close()  # pyright: ignore[reportAttributeAccessIssue]


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []
