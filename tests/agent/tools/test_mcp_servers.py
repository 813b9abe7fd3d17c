"""Servers of tools: the real ones of the `mcp` package, over stdio and HTTP, well and ill."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from loguru import logger

from agent.settings.mcp import McpServer
from agent.tools.mcp_secrets import McpSecrets
from agent.tools.mcp_servers import McpServers
from agent.tools.results import MAX_RESULT_CHARS, within_budget
from agent.tools.tool import Tool
from agent.tools.toolbox import Toolbox
from tests.support.left_over import leaving_nothing
from tests.support.mcp_peers import PEER, http_peer, peer_settings
from tests.support.ports import free_port

OWN = {
    *("peer_add", "peer_save", "peer_fail", "peer_huge", "peer_picture", "peer_wait", "peer_environment"),
    *("peer_die", "peer_learn", "peer_work", "peer_long", "peer_many"),
}


@asynccontextmanager
async def connected(settle_secs: float = 30, **servers: dict[str, Any]) -> AsyncIterator[McpServers]:
    """Servers by these settings, settled; closed in the end, with nothing left over."""
    found = McpServers({name: McpServer.model_validate(one) for name, one in servers.items()})
    async with leaving_nothing():
        found.start()
        try:
            await found.settled(settle_secs)
            yield found
        finally:
            await found.close()


async def until(condition: Callable[[], object], secs: float = 30) -> None:
    async with asyncio.timeout(secs):
        while not condition():
            await asyncio.sleep(0.05)


def runs(pid: int) -> bool:
    """Whether it does anything; what nobody has asked for its status is still listed."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def box_of(servers: McpServers, **changes: Any) -> Toolbox:
    box = Toolbox([])
    box.serve([replace(tool, **changes) for tool in servers.tools()])
    return box


def named(servers: McpServers) -> dict[str, Tool]:
    return {tool.name: tool for tool in servers.tools()}


async def test_a_server_over_stdio_brings_its_tools_as_they_are_and_its_results_as_data(tmp_path: Path) -> None:
    async with connected(peer=peer_settings(tmp_path)) as servers:
        tools = named(servers)
        assert tools.keys() == OWN
        # Hints of the server: what does not say that it only reads acts, and asks.
        assert {name for name, tool in tools.items() if tool.acts} == {"peer_save", "peer_die", "peer_learn"}
        assert servers.as_engine() == {
            "engine": "servers",
            "model": "1 of 1 there",
            "note": "peer has 12 tools",
            "passed_over": [],
        }
        assert {name for name, tool in tools.items() if tool.asks} == {"peer_save", "peer_die", "peer_learn"}
        box = box_of(servers)
        (add,) = [one for one in box.schema().standard_tools if one.name == "peer_add"]  # pyright: ignore
        assert add.to_default_dict()["parameters"] == tools["peer_add"].schema  # pyright: ignore
        assert await box.call("peer_add", {"a": 1, "b": 2}) == {"result": 3}
        assert await box.call("peer_add", {"a": "x"}) == {
            "error": "a: 'x' is not of type 'integer'; arguments: 'b' is a required property"
        }
        error = await box.call("peer_fail", {})
        assert isinstance(error, dict)
        assert "Error executing tool fail" in error["error"]
        assert await box.call("peer_picture", {}) == "[an image, image/png, 3 kB]"


async def test_a_long_result_comes_and_is_cut_and_one_that_is_too_much_is_told(tmp_path: Path) -> None:
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message)), level="WARNING", format="{message}")
    try:
        async with connected(peer=peer_settings(tmp_path)) as servers:
            box = box_of(servers)
            result = await box.call("peer_long", {})
            assert isinstance(result, dict)
            assert len(result["result"]) == 500_000
            assert len(str(within_budget(result))) < MAX_RESULT_CHARS + 60
            assert await box.call("peer_huge", {}) == {
                "error": "the server peer failed: its answer cannot be used: it is longer than 1 MB"
            }
            assert await box.call("peer_many", {}) == {
                "error": "the server peer failed: its answer cannot be used: it has more than 15000 values"
            }
            # The same connection goes on.
            assert await box.call("peer_add", {"a": 1, "b": 2}) == {"result": 3}
            assert (tmp_path / "mark").read_text().count("started") == 1
    finally:
        logger.remove(handler)
    assert [line.strip() for line in lines] == [
        "mcp peer: a message cannot be used: it is longer than 1 MB",
        "mcp peer: a message cannot be used: it has more than 15000 values",
    ]


async def test_a_child_gets_no_secret_of_ours_runs_apart_and_ends_with_its_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    settings = peer_settings(tmp_path, env={"PEER_WANTS": "this"})
    async with connected(peer=settings) as servers:
        told = str(await box_of(servers).call("peer_environment", {}))
        assert "PEER_WANTS" in told
        assert "OPENAI_API_KEY" not in told
        _, pid, session = (tmp_path / "mark").read_text().split()
        assert pid == session != str(os.getsid(0))
    assert not psutil.pid_exists(int(pid))


async def test_a_server_that_does_not_look_at_its_input_is_ended_with_what_it_has_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    deaf = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(600)"
    )
    async with connected(0.1, deaf={"command": sys.executable, "args": ["-c", deaf]}):
        await until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    assert [runs(int(pid)) for pid in pids.read_text().split()] == [False, False]


async def test_a_call_that_takes_too_long_is_given_up_and_the_server_is_told(tmp_path: Path) -> None:
    async with connected(peer=peer_settings(tmp_path, limit_secs=4)) as servers:
        reports: list[str] = []
        box = box_of(servers)
        box.report = reports.append
        assert await box.call("peer_wait", {"secs": 60}) == {"error": "peer_wait did not finish within 4 seconds"}
        await until(lambda: "cancelled" in (tmp_path / "mark").read_text())
        assert reports == ["peer_wait took longer than 4 s and was given up"]
        # And the next one is answered.
        assert await box.call("peer_add", {"a": 1, "b": 2}) == {"result": 3}


async def test_two_calls_at_once_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async with connected(peer=peer_settings(tmp_path)) as servers:
        box = box_of(servers)
        slow = asyncio.create_task(box.call("peer_wait", {"secs": 60}))
        await until(lambda: "waiting" in (tmp_path / "mark").read_text())
        assert await box.call("peer_add", {"a": 2, "b": 2}) == {"result": 4}
        assert not slow.done()
        slow.cancel()
        await asyncio.wait([slow])
        await until(lambda: "cancelled" in (tmp_path / "mark").read_text())


async def test_a_server_that_dies_in_a_call_is_told_takes_its_tools_along_and_comes_back(tmp_path: Path) -> None:
    async with connected(peer=peer_settings(tmp_path)) as servers:
        told: list[tuple[str, int]] = []
        servers.changed.append(lambda: told.append((servers.states()[0].line(), len(servers.tools()))))
        box = box_of(servers, asks=False)
        died = await box.call("peer_die", {})
        assert died == {"error": "the server peer failed: Connection closed"}
        await until(lambda: len(told) == 2)
        (down, n_down), (back, n_back) = told
        assert down == f"peer is down: {sys.executable} ended with exit status -9: I was told to die"
        assert (n_down, back, n_back) == (0, "peer has 12 tools", 12)
        assert await box_of(servers).call("peer_add", {"a": 1, "b": 2}) == {"result": 3}


async def test_a_tool_that_a_server_learns_is_there_at_once(tmp_path: Path) -> None:
    async with connected(peer=peer_settings(tmp_path)) as servers:
        assert await box_of(servers, asks=False).call("peer_learn", {}) == {"result": "learnt"}
        await until(lambda: len(servers.tools()) == 13)
        assert await box_of(servers).call("peer_forget_me_not", {}) == {"result": "blue"}


async def test_over_http_a_dead_server_comes_when_it_is_there_and_goes(tmp_path: Path) -> None:
    port = free_port()
    async with connected(box={"url": f"http://127.0.0.1:{port}/mcp", "token": "let-me-in"}) as servers:
        assert servers.tools() == []
        assert servers.states()[0].line().startswith("box is down: nothing answers there")
        async with http_peer(port, tmp_path):
            await until(lambda: servers.tools(), 60)
            box = box_of(servers)
            assert await box.call("box_add", {"a": 1, "b": 2}) == {"result": 3}
            result = await box.call("box_long", {})
            assert isinstance(result, dict)
            assert len(result["result"]) == 500_000
            for name, why in (("huge", "is longer than 1 MB"), ("many", "has more than 15000 values")):
                assert await box.call(f"box_{name}", {}) == {
                    "error": f"the server box failed: Failed to parse JSON response: it {why}"
                }
            assert await box.call("box_add", {"a": 2, "b": 2}) == {"result": 4}
        gone = await box.call("box_add", {"a": 1, "b": 2})
        assert isinstance(gone, dict)
        assert "the server box failed" in gone["error"]
        await until(lambda: not servers.tools())


async def test_what_is_no_server_of_tools_is_one_line(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            body = b"<html><body>Welcome</body></html>"
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
            writer.write(head.encode() + b"\r\n" + body)
            await writer.drain()
        writer.close()

    web = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = web.sockets[0].getsockname()[1]
    async with (
        web,
        connected(
            page={"url": f"http://127.0.0.1:{port}/", "token": "let-me-in", "headers": {"X-Own": "1"}},
            none={"command": "no-such-program"},
            noise={"command": sys.executable, "args": ["-c", "raise SystemExit('not today')"]},
        ) as servers,
    ):
        lines = {state.name: state.line() for state in servers.states()}
        assert lines["none"] == "none is down: no-such-program cannot be started (No such file or directory)"
        assert lines["noise"] == f"noise is down: {sys.executable} ended with exit status 1: not today"
        assert lines["page"].startswith("page is down: ")
        assert "text/html" in lines["page"]
    assert b"bearer let-me-in" in asked[0].lower()
    assert b"x-own: 1" in asked[0].lower()


async def test_no_message_repeats_a_key_of_the_settings(tmp_path: Path) -> None:
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message)), level="DEBUG", format="{message}")
    says = "import os, sys; raise SystemExit(f'refused: {os.environ[\"KEY\"]} {sys.argv}')"
    try:
        async with connected(
            child={
                "command": sys.executable,
                "args": ["-c", says, "--key=t0psecret-argument", "short"],
                "env": {"KEY": "t0psecret-environment"},
            },
        ) as servers:
            (state,) = servers.states()
            assert state.line().endswith("exit status 1: refused: … ['-c', '--key=…', 'short']")
    finally:
        logger.remove(handler)
    assert "t0psecret" not in "".join(lines)
    server = McpServer.model_validate(
        {"url": "http://h/", "token": "t0p'secret\\", "headers": {"A": "Basic t0psecret", "B": "1"}}
    )
    errors = [f"{ValueError('Bearer ' + str(value))!r} and 1" for value in ("t0p'secret\\", "t0psecret")]
    assert [McpSecrets(server).without(error) for error in errors] == [
        'ValueError("Bearer …") and 1',
        "ValueError('Bearer …') and 1",
    ]


async def test_a_slow_server_costs_the_start_nothing_and_the_others_do_not_wait_for_it(tmp_path: Path) -> None:
    late = {**peer_settings(tmp_path), "args": [str(PEER), "--late", "600"]}
    servers = McpServers(
        {"late": McpServer.model_validate(late), "peer": McpServer.model_validate(peer_settings(tmp_path))}
    )
    async with leaving_nothing():
        servers.start()
        assert [state.state for state in servers.states()] == ["connecting", "connecting"]
        try:
            await until(lambda: servers.tools(), 60)
            assert [state.state for state in servers.states()] == ["connecting", "ready"]
        finally:
            await servers.close()


async def test_settings_choose_tools_names_and_who_is_asked(tmp_path: Path) -> None:
    first = peer_settings(tmp_path, allow=["add", "save", "fly"], prefix="", permission="on")
    second = peer_settings(tmp_path, allow="add", prefix="", permission="ask")
    off = peer_settings(tmp_path, permission="off")
    async with connected(first=first, second=second, off=off) as servers:
        assert [(tool.name, tool.asks) for tool in servers.tools()] == [
            ("add", False),
            ("save", False),
            ("add_2", True),
        ]
        assert [state.line() for state in servers.states()] == [
            "first has 2 tools, none named fly",
            "second has 1 tool",
        ]


async def test_what_a_server_says_by_its_error_output_is_bounded_in_the_log(tmp_path: Path) -> None:
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message)), level="DEBUG", format="{message}")
    try:
        noise = "import sys\nfor n in range(1000): print('word ' * 1000, file=sys.stderr)"
        async with connected(noise={"command": sys.executable, "args": ["-c", noise]}):
            pass
    finally:
        logger.remove(handler)
    said = [line for line in lines if line.startswith("mcp noise: ")]
    assert len(said) == 31
    assert max(map(len, said)) < 320


async def test_an_old_server_that_knows_no_newer_words_is_greeted_as_it_expects() -> None:
    old = Path(__file__).parent.parent.parent / "support" / "mcp_old_peer.py"
    async with connected(old={"command": sys.executable, "args": [str(old)]}) as servers:
        assert [tool.name for tool in servers.tools()] == ["old_echo"]
        box = box_of(servers, asks=False)
        assert await box.call("old_echo", {"text": "hello"}) == "hello"
        assert await box.call("old_echo", {"text": "learn"}) == "learn"
        await until(lambda: len(servers.tools()) == 2)
        error = await box.call("old_echo", {"text": "break"})
        assert error == {"error": "the server old failed: out of paper"}
        # Three patterns: what it says of its tools is bounded, a schema that nobody can tell is left out.
        assert max(len(tool.description) for tool in servers.tools()) <= 1001
        assert "1 left out" in servers.states()[0].line()
        assert json.loads(json.dumps(dict(servers.tools()[0].schema or {})))["properties"] == {
            "text": {"type": "string"}
        }


async def test_progress_is_told_and_tools_that_a_setting_names_run_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How often it is told is another rule's.
    monkeypatch.setattr("agent.tools.beside.PROGRESS_SECS", 0.0)
    async with connected(peer=peer_settings(tmp_path, beside=["work"])) as servers:
        assert [tool.name for tool in servers.tools() if tool.beside] == ["peer_work"]
        box = box_of(servers, beside=False)
        told: list[tuple[str, dict[str, Any]]] = []
        box.emit = lambda event, **fields: told.append((event, fields))
        assert await box.call("peer_work", {"steps": 2}, "call_1") == {"result": "worked"}
        await until(lambda: len(told) == 2)
        assert told == [
            (
                "tool_progress",
                {"id": "call_1", "name": "peer_work", "progress": step, "total": 2, "message": f"step {step}"},
            )
            for step in (1, 2)
        ]
