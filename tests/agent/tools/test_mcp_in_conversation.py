"""Servers of tools in a conversation: their tools come and go, act once, and are asked about first."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.commands.script import Step, Typed
from agent.conversation.event_log import Event
from agent.settings.load import Settings
from agent.settings.mcp import McpServer
from agent.tools.mcp_servers import McpServers
from agent.tools.mcp_state import McpState
from agent.tools.tool import GivenArguments, Tool
from tests.agent.tools.test_tools_in_conversation import results
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.mcp_peers import peer_settings
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM, ToolCall
from tests.support.sounds import then, voice
from tests.support.virtual_time import in_virtual_time

QUESTION = "days_in_a_week.wav"
SCHEMA = {
    "type": "object",
    "properties": {"text": {"$ref": "#/$defs/text"}},
    "required": ["text"],
    "$defs": {"text": {"type": "string", "enum": ["milk", "bread"]}},
}


class ScriptedServers(McpServers):
    """A server whose tool comes and goes as the test says; what is written stands in `written`."""

    def __init__(self, *, asks: bool = False) -> None:
        super().__init__({})
        self.written: list[str] = []
        self._there = True
        self._tool = Tool(
            "box_write", "Write.", GivenArguments, self._write, acts=True, asks=asks, schema=SCHEMA, limit_secs=5
        )

    async def _write(self, arguments: GivenArguments) -> object:
        text = arguments.model_dump()["text"]
        self.written.append(text)
        return {"written": text}

    def tools(self) -> list[Tool]:
        return [self._tool] if self._there else []

    def states(self) -> list[McpState]:
        return [McpState("box", "ready", 1)] if self._there else [McpState("box", "down", problem="it ended")]

    def turn(self, event: str, n: int, *, there: bool) -> Callable[[Event], None]:
        """Come or go when an event happens for the n-th time; a sink."""
        seen = 0

        def sink(told: Event) -> None:
            nonlocal seen
            if told["event"] == event:
                seen += 1
                if seen == n:
                    self._there = there
                    for tell in list(self.changed):
                        tell()

        return sink


def offered(body: dict[str, Any]) -> dict[str, Any]:
    return {tool["function"]["name"]: tool["function"]["parameters"] for tool in body.get("tools", [])}


def call(text: str, call_id: str) -> ToolCall:
    return ToolCall("box_write", (json.dumps({"text": text}),), call_id)


async def talk(
    servers: ScriptedServers,
    replies: list[Reply],
    *heard: str,
    sinks: Sequence[Callable[[Event], None]] = (),
    allowed: str = "on",
) -> tuple[Held, list[dict[str, Any]]]:
    settings = Settings.model_validate({"turn": {"speculate": False}, "tools": {"servers": allowed}})
    stt = ScriptedRecognizerEngine(*heard)
    async with ScriptedLLM(*replies) as llm, hosting(stt, options(llm), ScriptedSynthesizer()) as host:
        held = await hold(host, [say(QUESTION)] * len(heard), settings=settings, servers=servers, sinks=sinks)
        return held, [request.body for request in llm.requests]


@in_virtual_time
async def test_the_schema_goes_to_the_model_as_it_is_and_tools_come_and_go_while_it_talks() -> None:
    servers = ScriptedServers()
    script = [
        *(Reply(tool_calls=[call("milk", "one")]), Reply("Done.")),
        *(Reply(tool_calls=[call("bread", "two")]), Reply("It is gone.")),
        Reply("Back."),
    ]
    sinks = [servers.turn("bot_stopped_speaking", 1, there=False), servers.turn("bot_stopped_speaking", 2, there=True)]
    held, sent = await talk(servers, script, "write milk", "write bread", "and now", sinks=sinks)
    assert offered(sent[0])["box_write"] == SCHEMA
    assert ["box_write" in offered(body) for body in sent] == [True, True, False, False, True]
    assert servers.written == ["milk"]
    assert json.loads(results(sent[3])[1])["error"].startswith("there is no tool box_write; there are ")
    assert held.texts("bot_word") == ["Done.", "It", "is", "gone.", "Back."]
    assert [event["servers"][0]["state"] for event in held.named("tool_servers")] == ["ready", "down", "ready"]


@in_virtual_time
async def test_what_does_not_fit_the_schema_is_told_and_the_same_act_is_done_once() -> None:
    servers = ScriptedServers()
    twice = Reply(tool_calls=[call("milk", "one"), call("milk", "two"), call("gin", "three")])
    _, sent = await talk(servers, [twice, Reply("Done.")], "write milk")
    assert servers.written == ["milk"]
    assert [json.loads(result) for result in results(sent[1])] == [
        {"written": "milk"},
        {"written": "milk"},
        {"error": "text: 'gin' is not one of ['milk', 'bread']"},
    ]


@pytest.mark.parametrize(("own", "all_of_them"), [(True, "on"), (False, "ask")])
@in_virtual_time
async def test_a_server_whose_tool_asks_is_called_on_a_yes(own: bool, all_of_them: str) -> None:
    servers = ScriptedServers(asks=own)
    script = [Reply(tool_calls=[call("milk", "one")]), Reply("It is.")]
    held, sent = await talk(servers, script, "write milk", "yes", "is it", allowed=all_of_them)
    assert servers.written == ["milk"]
    assert " ".join(held.texts("bot_word")) == "Shall I use the tool box write, with text milk? Done. It is."
    assert json.loads(results(sent[-1])[0])["done"] == {"written": "milk"}


@in_virtual_time
async def test_servers_that_are_switched_off_are_not_offered() -> None:
    _, sent = await talk(ScriptedServers(), [Reply("Hello.")], "hello", allowed="off")
    assert "box_write" not in offered(sent[0])


@pytest.mark.realtime
async def test_a_barge_in_cancels_the_call_at_the_server_and_history_knows(tmp_path: Path) -> None:
    servers = McpServers({"peer": McpServer.model_validate(peer_settings(tmp_path))})
    servers.start()
    waits = ToolCall("peer_wait", ('{"secs": 60}',), "call_1")
    script = [Reply(tool_calls=[waits]), Reply("All right."), Reply("No.")]
    cut = then(voice("no stop"), after="tool_call", delay_secs=1.0)
    stt = ScriptedRecognizerEngine("wait a minute", "no wait a moment")
    settings = Settings.model_validate({"turn": {"speculate": False}})
    try:
        await servers.settled(60)
        async with ScriptedLLM(*script) as llm, hosting(stt, options(llm), ScriptedSynthesizer()) as host:
            held = await hold(host, [say(QUESTION), cut, Step(Typed("is it done"))], settings=settings, servers=servers)
            sent = [request.body for request in llm.requests]
    finally:
        await servers.close()
    assert results(sent[-1]) == ["CANCELLED"]
    assert (tmp_path / "mark").read_text().split()[-2:] == ["waiting", "cancelled"]
    assert [event["id"] for event in held.named("tool_call") + held.named("tool_cancelled")] == ["call_1", "call_1"]
    assert held.named("tool_result") == []
