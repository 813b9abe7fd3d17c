"""Servers of tools that are too much: answers, schemas, lists and restarts, each within its bound."""

import asyncio
import gzip
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.settings.mcp import McpServer
from agent.tools.mcp_connection import MAX_PAGES, MAX_TOOLS, McpConnection
from agent.tools.mcp_stdio import MAX_MESSAGE_BYTES
from agent.tools.schemas import MAX_EVALUATIONS
from agent.tools.tool import GivenArguments, Tool
from agent.tools.toolbox import Toolbox
from processors.retries import RETRY_SECS, STAYS_SECS, Retries
from tests.agent.tools.test_mcp_servers import box_of, connected, until
from tests.support.left_over import leaving_nothing
from tests.support.scripted_mcp import Raw, scripted_mcp, tool

ODD_PEER = Path(__file__).parent.parent.parent / "support" / "mcp_odd_peer.py"


def says(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


async def test_over_http_an_answer_that_is_too_long_is_told_and_the_next_one_comes() -> None:
    def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if method == "tools/list":
            return {"tools": [tool("long"), tool("short")]}
        if method == "tools/call":
            return says("x" * (MAX_MESSAGE_BYTES if params["name"] == "long" else 1))
        return None

    async with scripted_mcp(answer) as url, connected(box={"url": url}) as servers:
        box = box_of(servers)
        assert await box.call("box_long", {}) == {
            "error": "the server box failed: Failed to parse JSON response: it is longer than 16 MB"
        }
        assert await box.call("box_short", {}) == "x"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("application/json", "Failed to parse JSON response: it is packed, which it was asked not to be"),
        ("text/event-stream", "SSE stream ended without a response"),
    ],
)
async def test_over_http_what_is_packed_is_not_unpacked(kind: str, why: str) -> None:
    packed = gzip.compress(bytes(1_000_000))

    def answer(method: str, _: dict[str, Any]) -> dict[str, Any] | Raw | None:
        if method == "tools/call":
            return Raw({"Content-Type": kind, "Content-Encoding": "gzip"}, packed)
        return {"tools": [tool("bomb")]} if method == "tools/list" else None

    async with scripted_mcp(answer) as url, connected(box={"url": url}) as servers:
        result = await box_of(servers).call("box_bomb", {})
        assert result == {"error": f"the server box failed: {why}"}


def fanned_out(depth: int) -> dict[str, Any]:
    """A schema that holds for any object, and says so 2 ** depth times."""
    shapes: dict[str, Any] = {"a0": {"type": "object"}}
    for n in range(1, depth + 1):
        shapes[f"a{n}"] = {"allOf": [{"$ref": f"#/$defs/a{n - 1}"}] * 2}
    return {"type": "object", "$defs": shapes, "allOf": [{"$ref": f"#/$defs/a{depth}"}]}


class Noted(Mapping[str, Any]):
    """A schema that knows who reads it."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self.readers: set[threading.Thread] = set()

    def __getitem__(self, key: str) -> Any:
        return self._schema[key]

    def __iter__(self) -> Iterator[str]:
        self.readers.add(threading.current_thread())
        return iter(self._schema)

    def __len__(self) -> int:
        return len(self._schema)


async def test_a_schema_is_checked_beside_the_event_loop_and_one_without_end_is_left_to_its_owner() -> None:
    called: list[dict[str, Any]] = []

    async def run(arguments: GivenArguments) -> object:
        called.append(arguments.model_dump())
        return "done"

    # 2 ** 60 of them would take thousands of years.
    endless = Noted(fanned_out(60))
    small = Noted({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    box = Toolbox(
        [Tool(name, "", GivenArguments, run, schema=one) for name, one in (("endless", endless), ("small", small))]
    )
    assert await box.call("endless", {"any": 1}) == "done"
    assert await box.call("small", {"n": "x"}) == {"error": "n: 'x' is not of type 'integer'"}
    assert called == [{"any": 1}]
    assert threading.main_thread() not in endless.readers | small.readers
    # And what an ordinary schema asks for is far below the bound: three keywords of each of a hundred things.
    things = {"type": "array", "items": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}}
    many = Toolbox([Tool("many", "", GivenArguments, run, schema={"properties": {"things": things}})])
    assert MAX_EVALUATIONS > 100 * 5
    wrong = [{"n": 1}] * 99 + [{"n": "x"}]
    assert await many.call("many", {"things": wrong}) == {"error": "things.99.n: 'x' is not of type 'integer'"}


def paged(n_tools: int, of: int) -> Any:
    """A server that tells of so many tools, in pages of so many each."""

    def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if method != "tools/list":
            return says(params["name"]) if method == "tools/call" else None
        start = int(params.get("cursor") or 0)
        page = {"tools": [tool(f"t{n}") for n in range(start, min(start + of, n_tools))]}
        return {**page, "nextCursor": str(start + of)} if start + of < n_tools else page

    return answer


async def test_an_allowed_tool_is_found_wherever_it_stands_in_the_list() -> None:
    async with (
        scripted_mcp(paged(200, of=50)) as url,
        connected(box={"url": url, "allow": ["t3", "t199", "t70"]}) as servers,
    ):
        assert [one.name for one in servers.tools()] == ["box_t3", "box_t70", "box_t199"]
        assert servers.states()[0].line() == "box has 3 tools"
        assert await box_of(servers).call("box_t199", {}) == "t199"


async def test_of_a_long_list_the_first_are_used_and_the_others_counted() -> None:
    async with scripted_mcp(paged(200, of=50)) as url, connected(box={"url": url}) as servers:
        assert [one.name for one in servers.tools()] == [f"box_t{n}" for n in range(MAX_TOOLS)]
        assert servers.states()[0].line() == "box has 64 tools, 136 left out"


async def test_a_list_without_end_is_read_for_a_while_and_that_is_told() -> None:
    asked: list[int] = []
    answer = paged(10**9, of=1)

    def counting(method: str, params: dict[str, Any]) -> Any:
        asked.extend([1] * (method == "tools/list"))
        return answer(method, params)

    async with scripted_mcp(counting) as url, connected(box={"url": url, "allow": ["t1", "fly"]}) as servers:
        assert servers.states()[0].line() == "box has 1 tool, its list goes on without end, none named fly"
        assert len(asked) == MAX_PAGES


def test_a_server_is_tried_again_less_and_less_often_unless_it_stays() -> None:
    retries = Retries()
    assert [retries.wait_secs(STAYS_SECS / 2) for _ in range(9)] == [*RETRY_SECS, 60, 60]
    assert [retries.wait_secs(secs) for secs in (STAYS_SECS, 0, 3600)] == [1, 2, 1]


async def test_a_server_that_greets_and_dies_at_once_is_not_started_again_and_again() -> None:
    waits_secs: list[float] = []

    class Hurried(Retries):
        def wait_secs(self, stayed_secs: float) -> float:
            waits_secs.append(super().wait_secs(stayed_secs))
            return 0 if len(waits_secs) < 3 else 3600

    states: list[str] = []
    server = McpServer.model_validate({"command": sys.executable, "args": [str(ODD_PEER), "dies"]})
    async with leaving_nothing():
        connection = McpConnection("p", server, lambda: states.append(connection.state.state), Hurried())
        running = asyncio.create_task(connection.run())
        await until(lambda: len(waits_secs) == 3)
        running.cancel()
        await asyncio.wait([running])
    assert waits_secs == [1, 2, 4]
    assert states == ["ready", "down"] * 3


async def test_numbers_that_json_has_not_and_signs_nobody_can_print_reach_nobody() -> None:
    async with connected(p={"command": sys.executable, "args": [str(ODD_PEER), "nan"]}) as servers:
        box = box_of(servers)
        told: list[dict[str, Any]] = []
        box.emit = lambda _, **fields: told.append(fields)
        result = await box.call("p_t", {}, "call_1")
        assert result == {"text": "2Jok\n", "structured": {"x": None, "y": [None, 1.5, "a]0;b\tc"]}}
        await until(lambda: told)
        assert told == [{"id": "call_1", "name": "p_t", "progress": 1, "total": None, "message": "\\x1b[2Jx"}]
