"""Whether a model calls tools, found out by one small request where its server does not tell."""

import asyncio
import dataclasses
import json

import pytest

from agent.engines.tool_probe import MAX_TOKENS, PROBE_NAME, calls_tools_by_trial, may_be_asked, probed
from agent.settings.load import Settings
from processors.llm.options import LargeModel, LLMOptions
from tests.support.house import hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Drop, Failure, Hang, Reply, ScriptedLLM, ToolCall
from tests.support.speech_callers import until
from tests.support.virtual_time import in_virtual_time

CALLS = Reply(tool_calls=[ToolCall(PROBE_NAME)])
REFUSES = Failure(400, {"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice'}})


@pytest.mark.parametrize(
    ("answer", "calls"),
    [
        (CALLS, True),
        (Reply("I will.", tool_calls=[ToolCall(PROBE_NAME)]), True),
        (Reply("```json\n", json.dumps({"name": PROBE_NAME, "arguments": {}}), "\n```"), True),
        (Reply(f'<tool_call>{{"name": "{PROBE_NAME}", "arguments": {{}}}}</tool_call>'), True),
        (
            Reply(f'<tool_call>{{"name": "{PROBE_NAME}", "arguments": {{}}}}</tool_call>', finish_reason="tool_calls"),
            True,
        ),
        (Reply("I am", " ready."), False),
        (Reply(f"There is no {PROBE_NAME}."), False),
        (Reply(f"I can't call {PROBE_NAME} (I have no tools)."), False),
        (Reply(f"Write [{PROBE_NAME}] or <{PROBE_NAME}>, or {{a}} {PROBE_NAME}."), False),
        (Reply(f"<think>The user wants me to call {PROBE_NAME}…</think>I am sorry, I cannot."), False),
        (Reply(f'<think>{{"name": "{PROBE_NAME}", "arguments": {{}}}}</think>I am sorry, I cannot.'), False),
        (Reply(f'So {{"name": "{PROBE_NAME}", "arguments": {{}}}} it is.</think>I am sorry, I cannot.'), False),
        (Reply("I cannot.", thoughts=[f'<tool_call>{{"name": "{PROBE_NAME}"}}</tool_call>']), False),
        (Reply(f'<think>I see.</think><tool_call>{{"name": "{PROBE_NAME}", "arguments": {{}}}}</tool_call>'), True),
        (Reply(f'I see.</think><tool_call>{{"name": "{PROBE_NAME}", "arguments": {{}}}}</tool_call>'), True),
        (REFUSES, False),
        (Reply(f"<think>The user wants me to call {PROBE_NAME} {{now}}", finish_reason="length"), None),
        (Reply(f"<think>The user wants me to call {PROBE_NAME} {{now}}"), None),
        (Reply(f'<tool_call>{{"name": "{PROBE_NAME}", "argu', finish_reason="length"), None),
        (Reply(f'<tool_call>{{"name": "{PROBE_NAME}", "argu'), None),
        # No conversation makes such a call either.
        (Reply(f'<tool_call>{{"name": "{PROBE_NAME}"}}</tool_call>'), None),
        (Reply('<tool_call>{"name": "report", "arguments": {}}</tool_call>'), None),
        (Reply(tool_calls=[ToolCall("report")]), None),
        (Reply("I am", finish_reason="length"), None),
        (Reply(thoughts=["Let me see"], finish_reason="length"), None),
        (Reply(), None),
        (Reply(*["x" * 100] * 1000), None),
        (Reply("I", drop_after=1), None),
        (Reply("I", error_after=1, error={"message": "out of memory"}), None),
        (Failure(503, "loading"), None),
        (Failure(401, {"error": {"message": "no such key"}}), None),
        (Failure(200, "<html>", "text/html"), None),
        (Drop(), None),
    ],
)
async def test_a_call_says_yes_words_and_refusals_no_and_everything_else_nothing(
    answer: Answer, calls: bool | None
) -> None:
    async with ScriptedLLM() as server:
        server.answer_to_probe = answer
        assert await calls_tools_by_trial(options(server)) is calls
        (asked,) = server.probes
    assert asked.body["max_tokens"] == MAX_TOKENS
    assert [message["role"] for message in asked.messages] == ["user"]


@in_virtual_time
async def test_a_server_that_never_answers_is_given_up_and_a_dead_one_at_once() -> None:
    for head, secs in ((False, 10), (True, 10)):
        async with ScriptedLLM() as server:
            server.answer_to_probe = Hang(head)
            began_secs = asyncio.get_running_loop().time()
            assert await calls_tools_by_trial(options(server)) is None
            assert round(asyncio.get_running_loop().time() - began_secs) == secs
    assert await calls_tools_by_trial(options(server)) is None


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        *[(f"http://{host}:8000/v1", True) for host in ("127.0.0.1", "127.9.0.1", "localhost", "[::1]")],
        *[(f"http://{host}/v1", False) for host in ("192.168.1.2:8000", "api.example.com", "localhost.example.com")],
        ("https://10.0.0.1/v1", False),
        ("", False),
    ],
)
def test_only_a_server_on_this_machine_is_asked(url: str, asked: bool) -> None:
    assert may_be_asked(LLMOptions(url, "m")) is asked


async def test_of_two_models_each_is_asked_that_is_not_known_yet() -> None:
    async with ScriptedLLM() as small, ScriptedLLM() as large:
        small.answer_to_probe, large.answer_to_probe = CALLS, Reply("No.")
        own, other = options(small), options(large)
        both = await probed(dataclasses.replace(own, large=LargeModel(other)))
        assert [one.calls_tools for one in both.models] == [True, False]
        known = dataclasses.replace(
            own, calls_tools=False, large=LargeModel(dataclasses.replace(other, calls_tools=True))
        )
        assert await probed(known) == known
        assert await probed(dataclasses.replace(own, last_turn_only=True)) == dataclasses.replace(
            own, last_turn_only=True
        )
        assert (len(small.probes), len(large.probes)) == (1, 1)


@in_virtual_time
async def test_what_came_of_it_decides_how_the_next_conversation_acts() -> None:
    settings = Settings.model_validate({"turn": {"speculate": False}})
    for answer, chooses in ((Reply("I am ready."), True), (CALLS, False), (Failure(503), False)):
        stt = ScriptedRecognizerEngine("set a timer for five minutes")
        async with ScriptedLLM() as server, hosting(stt, options(server), ScriptedSynthesizer()) as host:
            server.answer_to_probe = answer
            await host.probe_tools()
            await hold(host, [say("days_in_a_week.wav")], settings=settings)
            assert ("response_format" in server.requests[0].body) is chooses


@in_virtual_time
async def test_a_host_that_is_closed_meanwhile_does_not_wait_for_it() -> None:
    stt = ScriptedRecognizerEngine()
    async with ScriptedLLM() as server, hosting(stt, options(server), ScriptedSynthesizer()) as host:
        server.answer_to_probe = Hang()
        host.probing = asyncio.create_task(host.probe_tools())
        await until(lambda: bool(server.probes))
        began_secs = asyncio.get_running_loop().time()
        await host.close()
        assert host.probing.cancelled()
        assert asyncio.get_running_loop().time() - began_secs < 1
