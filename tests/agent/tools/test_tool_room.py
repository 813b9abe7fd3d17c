"""Tools of servers beside what else a language model's context has to hold."""

from collections.abc import Sequence

import pytest
from loguru import logger

from agent.conversation.event_log import Event
from agent.conversation.served_tools import ServedTools
from agent.settings.load import Settings
from agent.tools.mcp_servers import McpServers
from agent.tools.mcp_state import McpState
from agent.tools.tool import GivenArguments, Tool
from agent.tools.tool_room import USUAL_CONTEXT_TOKENS, fitting, left_out_line, room_tokens, tokens_of
from agent.tools.toolbox import Toolbox
from tests.support.house import hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time


async def run(_: GivenArguments) -> object:
    return "done"


def tool(name: str, n_words: int = 0) -> Tool:
    return Tool(name, "word " * n_words, GivenArguments, run, schema={"type": "object"})


def names(tools: Sequence[Tool]) -> list[str]:
    return [one.name for one in tools]


@pytest.mark.parametrize(
    ("context_tokens", "reply_tokens", "room"),
    [(4096, 512, 1792), (None, 512, (USUAL_CONTEXT_TOKENS - 512) // 2), (512, 512, 0), (256, 512, 0)],
)
def test_half_of_what_the_reply_leaves_is_for_tools(context_tokens: int | None, reply_tokens: int, room: int) -> None:
    assert room_tokens(context_tokens, reply_tokens) == room


def test_the_first_that_fit_are_kept_beside_the_own_ones_and_a_long_one_leaves_its_room() -> None:
    own = [tool("own", 40)]
    tools = [tool("a"), tool("long", 400), tool("b"), tool("c")]
    assert tokens_of(tools[1]) > 400
    room = sum(map(tokens_of, [*own, tools[0], tools[2]]))
    assert names(fitting(tools, own, room)) == ["a", "b"]
    assert names(fitting(tools, own, room - 1)) == ["a"]
    assert fitting(tools, own, 0) == []
    assert fitting(tools, [], 10**6) == tools


def test_what_is_left_out_is_one_line_that_says_what_helps() -> None:
    tools = [tool(f"t{n}") for n in range(6)]
    assert left_out_line(tools, tools, 1792) == ""
    assert left_out_line(tools, tools[1:], 1792) == (
        "1 of 6 tools of servers are left out, as the language model's context has room for 1792 tokens of tools: "
        "t0; name those that you use: mcp.servers.NAME.allow"
    )
    assert left_out_line(tools, [], 0).endswith(
        "tools: t0, t1, t2 and 3 more; name those that you use: mcp.servers.NAME.allow"
    )


class ManyTools(McpServers):
    """A server with very many."""

    def __init__(self) -> None:
        super().__init__({})
        self.all = [tool(f"box_{n}", 100) for n in range(64)]

    def tools(self) -> list[Tool]:
        return self.all

    def states(self) -> list[McpState]:
        return [McpState("box", "ready", 64)]


@in_virtual_time
async def test_a_model_is_told_of_no_more_tools_than_its_context_has_room_for_and_the_user_of_the_others() -> None:
    servers = ManyTools()
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message).strip()), level="WARNING", format="{message}")

    def change(event: Event) -> None:
        # What is left out stays the same, and is told once.
        if event["event"] == "bot_stopped_speaking":
            for tell in servers.changed:
                tell()

    try:
        async with (
            ScriptedLLM(Reply("Hello.")) as llm,
            hosting(
                ScriptedRecognizerEngine("hello"), options(llm, context_tokens=4096), ScriptedSynthesizer()
            ) as host,
        ):
            settings = Settings.model_validate({"turn": {"speculate": False}})
            held = await hold(host, [say("days_in_a_week.wav")], settings=settings, servers=servers, sinks=[change])
            (sent,) = [request.body for request in llm.requests]
    finally:
        logger.remove(handler)
    told = [one["function"]["name"] for one in sent["tools"]]
    own = [name for name in told if not name.startswith("box_")]
    n_kept = len(told) - len(own)
    assert 0 < n_kept < 20
    assert told[:n_kept] == [f"box_{n}" for n in range(n_kept)]
    assert own
    line = (
        f"{64 - n_kept} of 64 tools of servers are left out, as the language model's context has room for 1792 tokens"
        f" of tools: box_{n_kept}, box_{n_kept + 1}, box_{n_kept + 2} and {61 - n_kept} more;"
        " name those that you use: mcp.servers.NAME.allow"
    )
    assert lines == [line]
    assert [event["left_out"] for event in held.named("tool_servers")] == [line, line]


def test_a_model_with_another_context_is_told_of_what_fits_that_one() -> None:
    servers, toolbox, told = ManyTools(), Toolbox([]), list[str]()
    served = ServedTools(servers, "on", toolbox, lambda _, **fields: told.append(fields["left_out"]), 500)

    def n_served() -> int:
        return len(toolbox.tools)

    served.make_room(1_000)
    assert told == []
    served.begin()
    n_first = n_served()
    served.make_room(100_000)
    assert 0 < n_first < n_served() == len(servers.all)
    served.make_room(100_000)
    assert [bool(line) for line in told] == [True, False]
    served.end()
    served.make_room(500)
    assert len(told) == 2
