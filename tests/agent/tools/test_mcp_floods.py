"""Servers of tools that write without end what is no message: the conversations have their turn, and they are ended."""

import asyncio
import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from loguru import logger

from agent.tools import mcp_stdio
from agent.tools.mcp_bounds import MessageLines, RefusedLine
from agent.tools.mcp_stdio import LINES_A_STEP, MAX_STRAYS, Child
from tests.agent.tools.test_mcp_servers import connected

MESSAGE = json.dumps({"jsonrpc": "2.0", "method": "notifications/x"}).encode()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_blank_lines_are_counted_at_once_and_every_other_line_comes_as_it_is(size: int) -> None:
    text = b"\n\r\n \t\n{}\n\n  {}\r\n a\nb c\n\n\nlast"
    lines = MessageLines()
    ended = [line for at in range(0, len(text), size) for line in lines.add(text[at : at + size])]
    assert [line.strip() for line in ended if isinstance(line, bytes) and line.strip()] == [b"{}", b"{}", b"a", b"b c"]
    # A line of spaces that was cut is one like others.
    assert sum(line if isinstance(line, int) else 1 for line in ended) == text.count(b"\n")
    if size == 100:
        assert [line for line in ended if isinstance(line, int)] == [3, 1, 2]


def test_a_piece_of_nothing_but_line_ends_is_one_step() -> None:
    assert list(MessageLines().add(b"\n" * 65536)) == [65536]


class Written:
    """A process that has written something, all at once, and ended; a fake at the outer edge."""

    def __init__(self, text: bytes) -> None:
        self.stdout = asyncio.StreamReader()
        self.stdout.feed_data(text)
        self.stdout.feed_eof()
        self.stderr = asyncio.StreamReader()
        self.stderr.feed_data(text)
        self.stderr.feed_eof()
        self.returncode = 0

    async def wait(self) -> int:
        return 0


class Passed:
    """Takes messages, without a pause; a fake at the outer edge."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.is_closed = False

    async def send(self, message: Any) -> None:
        self.messages.append(message)

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    ("text", "n_messages", "problem"),
    [
        (b"\n" * 1_000_000, 0, True),
        (b"x\n" * 500_000, 0, True),
        (b"x\n\n" * 500_000, 0, True),
        (b"\n" * (MAX_STRAYS + 1), 0, True),
        (b"\n" * MAX_STRAYS + MESSAGE + b"\n" + b"x\n" * MAX_STRAYS, 1, False),
        ((b"x\n" * 9 + MESSAGE + b"\n") * 500, 500, False),
        ((MESSAGE + b"\n") * 2_000, 2_000, False),
    ],
)
async def test_the_conversations_have_their_turn_between_lines_and_what_is_no_server_is_left(
    monkeypatch: pytest.MonkeyPatch, text: bytes, n_messages: int, problem: bool
) -> None:
    looked_at = 0
    turns: list[int] = []
    logged: list[str] = []

    class Counted(MessageLines):
        def add(self, piece: bytes) -> Iterator[bytes | RefusedLine | int]:
            nonlocal looked_at
            for line in super().add(piece):
                looked_at += 1
                yield line

    async def converse() -> None:
        while True:
            turns.append(looked_at)
            await asyncio.sleep(0)

    monkeypatch.setattr(mcp_stdio, "MessageLines", Counted)
    child, passed = Child("p", "cat", [], {}, str), Passed()
    conversation = asyncio.create_task(converse())
    handler = logger.add(lambda message: logged.append(str(message)), level="DEBUG", format="{message}")
    try:
        await mcp_stdio._read(child, Written(text), passed)  # pyright: ignore[reportArgumentType]
    finally:
        logger.remove(handler)
        conversation.cancel()
    turns.append(looked_at)
    assert max(after - before for before, after in pairwise(turns)) <= LINES_A_STEP
    assert looked_at <= n_messages * 10 + MAX_STRAYS + 2
    assert len(logged) <= n_messages + 1
    assert len(passed.messages) == n_messages
    assert passed.is_closed
    assert child.ended.is_set()
    why = f"cat wrote more than {MAX_STRAYS} lines in a row that are no messages"
    assert child.problem == (why if problem else "")


@pytest.mark.parametrize("line", [b"\n", b"x\n"])
async def test_of_many_lines_of_errors_few_are_looked_at_and_the_last_words_are_kept(line: bytes) -> None:
    n_asked, asked_before = 0, [0]

    def asked(text: str) -> str:
        nonlocal n_asked
        n_asked += 1
        return text

    async def converse() -> None:
        while True:
            asked_before.append(n_asked)
            await asyncio.sleep(0)

    child = Child("p", "cat", [], {}, asked)
    conversation = asyncio.create_task(converse())
    await mcp_stdio._log(child, Written(line * 50_000 + b"it is broken\n"))  # pyright: ignore[reportArgumentType]
    conversation.cancel()
    assert max(after - before for before, after in pairwise(asked_before)) <= 34
    assert child.last_words[-1] == "it is broken"


@pytest.mark.parametrize("said", ["", "x"])
async def test_a_server_that_writes_without_end_is_ended_and_why_is_told(said: str) -> None:
    endless = f"while True: print({said!r})"
    async with connected(p={"command": sys.executable, "args": ["-c", endless]}) as servers:
        assert servers.states()[0].line() == (
            f"p is down: {sys.executable} wrote more than {MAX_STRAYS} lines in a row that are no messages"
        )
