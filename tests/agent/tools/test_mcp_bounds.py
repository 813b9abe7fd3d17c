"""Servers of tools that are too much: answers, schemas, lists and restarts, each within its bound."""

import asyncio
import gzip
import json
import random
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.settings.mcp import McpServer
from agent.tools.mcp_bounds import (
    MAX_COMPARED,
    MAX_ITEMS,
    MAX_MESSAGE_BYTES,
    MAX_VALUES,
    MessageLines,
    RefusedLine,
    StreamWeight,
    Weight,
)
from agent.tools.mcp_connection import MAX_PAGES, MAX_TOOLS, McpConnection
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
            "error": "the server box failed: Failed to parse JSON response: it is longer than 1 MB"
        }
        assert await box.call("box_short", {}) == "x"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("application/json", "Failed to parse JSON response: it is packed, which it was asked not to be"),
        ("text/event-stream", "SSE stream failed: it is packed, which it was asked not to be"),
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


async def test_over_http_few_bytes_that_are_many_values_are_told_and_so_are_pieces_that_are_none() -> None:
    def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if method == "tools/list":
            return {"tools": [tool("values"), tool("pieces"), tool("beside"), tool("short")]}
        if method == "tools/call":
            return {
                "values": {"content": [], "structuredContent": {"a": [[]] * MAX_VALUES}},
                # Each would take mcp twelve microseconds to find out that it is none.
                "pieces": {"content": [{}] * (MAX_ITEMS + 1)},
                "beside": {**says("x"), "_meta": {"a": [1] * MAX_COMPARED}},
                "short": says("x"),
            }[params["name"]]
        return None

    async with scripted_mcp(answer) as url, connected(box={"url": url}) as servers:
        box = box_of(servers)
        assert await box.call("box_values", {}) == {
            "error": "the server box failed: Failed to parse JSON response: it has more than 15000 values"
        }
        assert await box.call("box_pieces", {}) == {
            "error": "the server box failed: its answer cannot be used: it has more than 500 pieces"
        }
        assert await box.call("box_beside", {}) == {
            "error": "the server box failed: its answer cannot be used: it has more than 1000 values beside its result"
        }
        assert await box.call("box_short", {}) == "x"


async def test_what_mcp_would_refuse_at_length_comes_in_a_form_that_it_takes() -> None:
    odd: list[Any] = [
        {},
        7,
        {"type": ["text"], "text": "x"},
        {"type": "text", "text": 7},
        {"type": "resource", "resource": {"uri": "file:///a", "text": None}},
    ]
    audience = {"annotations": {"audience": [1] * 5_000}}
    pieces = [
        {"type": "text", "text": "one", **audience},
        {"type": "image", "data": "AAAA" * 1000, "mimeType": "image/png", **audience},
        {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
        {"type": "resource_link", "name": "two", "uri": "file:///b", "icons": [7]},
        {"type": "resource", "resource": {"uri": "file:///c", "text": "three", "_meta": 7}},
        {"type": "resource", "resource": {"uri": "file:///d", "blob": "AAAA", "mimeType": "x/y"}},
    ]
    hints = {"annotations": {"readOnlyHint": True, "title": [7]}, "icons": [7] * 5_000}

    def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if method == "tools/list":
            return {
                "tools": [{**tool("odd"), **hints}, {**tool("pieces"), **hints}, {**tool("acts"), "annotations": 7}]
            }
        return {"content": odd if params["name"] == "odd" else pieces} if method == "tools/call" else None

    async with scripted_mcp(answer) as url, connected(box={"url": url}) as servers:
        assert [one.acts for one in servers.tools()] == [False, False, True]
        box = box_of(servers)
        assert await box.call("box_odd", {}) == "\n".join(["[something of no known kind]"] * len(odd))
        assert await box.call("box_pieces", {}) == "\n".join(
            [
                "one",
                "[an image, image/png, 3 kB]",
                "[sound, audio/wav, 3 bytes]",
                "[a link to two: file:///b]",
                "three",
                "[a file, file:///d, x/y, 3 bytes]",
            ]
        )


async def test_over_http_an_event_that_is_too_much_is_told_however_many_came_before_it() -> None:
    def event(result: dict[str, Any]) -> bytes:
        return b"data: " + json.dumps({"jsonrpc": "2.0", "id": 0, "result": result}).encode() + b"\r\n\r\n"

    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": [0] * 1000}}
    before = (b"data: " + json.dumps(note).encode() + b"\r\n\r\n") * 30
    assert MAX_VALUES < 30 * 1000
    results = {
        "long": says("x" * MAX_MESSAGE_BYTES),
        "values": {"content": [], "structuredContent": {"a": [[]] * MAX_VALUES}},
        "short": says("x"),
    }

    def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | Raw | None:
        if method == "tools/list":
            return {"tools": [tool(name) for name in results]}
        if method == "tools/call":
            return Raw({"Content-Type": "text/event-stream"}, before + event(results[params["name"]]))
        return None

    async with scripted_mcp(answer) as url, connected(box={"url": url}) as servers:
        box = box_of(servers)
        told = [await box.call(f"box_{name}", {}) for name in results]
        assert told == [
            {"error": "the server box failed: SSE stream failed: it is longer than 1 MB"},
            {"error": "the server box failed: SSE stream failed: it has more than 15000 values"},
            "x",
        ]


async def test_a_result_is_not_compared_with_the_schema_that_a_server_has_for_it() -> None:
    def answer(method: str, _: dict[str, Any]) -> dict[str, Any] | None:
        if method == "tools/list":
            # 2 ** 60 comparisons.
            return {"tools": [{**tool("endless"), "outputSchema": fanned_out(60)}]}
        return {"content": [], "structuredContent": {"a": 1}} if method == "tools/call" else None

    async with scripted_mcp(answer) as url, connected(box={"url": url}) as servers:
        assert await box_of(servers).call("box_endless", {}) == {"a": 1}


def n_values(value: object) -> int:
    """Of lists, objects and what is behind the first thing in them."""
    match value:
        case list():
            return 1 + max(len(value) - 1, 0) + sum(map(n_values, value))
        case dict():
            return n_values(list(value.values()))
        case _:
            return 0


def made_up(chance: random.Random, depth: int = 0) -> object:
    """Anything that JSON can say, with the signs that it is made of within texts."""
    kind = chance.random() if depth < 5 else 1.0

    def text() -> str:
        return "".join(chance.choices('a"\\,[{\n}]é', k=chance.randrange(8)))

    if kind < 0.3:
        return [made_up(chance, depth + 1) for _ in range(chance.randrange(5))]
    if kind < 0.6:
        return {text(): made_up(chance, depth + 1) for _ in range(chance.randrange(4))}
    return chance.choice([text(), 1.5, None, True])


def cut(chance: random.Random, data: bytes) -> Iterator[bytes]:
    while data:
        n = chance.randrange(1, 9)
        yield data[:n]
        data = data[n:]


@pytest.mark.parametrize("seed", range(20))
def test_values_are_counted_whatever_texts_hold_and_wherever_pieces_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    events = StreamWeight()
    for _ in range(50):
        value = made_up(chance)
        data = json.dumps(value, ensure_ascii=chance.random() < 0.5).encode()
        weight = Weight()
        for piece in cut(chance, data):
            weight.add(piece)
        assert (weight.n_values, weight.n_bytes) == (n_values(value), len(data))
        end = chance.choice([b"\n", b"\r", b"\r\n"])
        for piece in cut(chance, b"id: 1" + end + b"data: " + data + end):
            events.add(piece)
        # Between its last line and the empty one behind it.
        assert events._weight.n_values == n_values(value)
        for piece in cut(chance, end):
            events.add(piece)


def test_of_a_line_that_is_too_long_its_ends_tell_whom_it_answers() -> None:
    lines = MessageLines()
    long = b"x" * MAX_MESSAGE_BYTES
    written = [
        b'{"jsonrpc":"2.0","id":7,"result":{"a":"' + long + b'"}}',
        b'{"result":{"a":"' + long + b'"},"jsonrpc":"2.0","id":8}',
        b'{ "result": {"a": "' + long + b'"}, "id": 9, "jsonrpc": "2.0" }\r',
        b'{"result":{"a":"' + long + b'","id":10}}',
        b'{"result":{"a":"' + long + b'\\"id\\":11}"}}',
        b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"' + long + b'"},"id":12}',
        b'{"jsonrpc":"2.0","id":13,"result":{}}',
        b"",
    ]
    text = b"\n".join(written)
    ended = [line for start in range(0, len(text), 65536) for line in lines.add(text[start : start + 65536])]
    assert [line.answers if isinstance(line, RefusedLine) else line for line in ended] == [
        *(7, 8, 9, None, None, None),
        written[6],
    ]


def test_a_line_without_end_takes_no_more_memory_than_one_message() -> None:
    lines = MessageLines()
    for _ in range(100):
        assert list(lines.add(b"x" * 65536)) == []
    assert len(lines._line) <= MAX_MESSAGE_BYTES + 65536


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
