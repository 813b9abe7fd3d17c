"""The language model service against a scripted server: what it sends, what is spoken, and which tools it calls."""

import asyncio
from typing import Any

import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.frames.frames import (
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams

from processors.llm.service import LocalLLMService
from tests.support.llm_session import (
    SYSTEM,
    WAIT_SECS,
    one_reply,
    options,
    question,
    session,
    text_of,
    turns,
)
from tests.support.scripted_llm import Failure, Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_reply_comes_out_token_by_token_between_its_start_and_its_end() -> None:
    frames, errors, requests = await one_reply(Reply("Hello", " there."))

    assert [(type(frame), getattr(frame, "text", None)) for frame in frames] == [
        (LLMFullResponseStartFrame, None),
        (LLMTextFrame, "Hello"),
        (LLMTextFrame, " there."),
        (LLMFullResponseEndFrame, None),
    ]
    assert errors == []
    body = requests[0].body
    assert body.pop("messages") == [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "hi"}]
    assert body == {
        "model": "scripted",
        "temperature": 0.7,
        "top_p": 0.95,
        "max_tokens": 512,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@in_virtual_time
async def test_nothing_of_the_environment_reaches_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "OPENAI_API_KEY": "leak-key",
        "OPENAI_ADMIN_KEY": "leak-admin",
        "OPENAI_ORG_ID": "leak-org",
        "OPENAI_PROJECT_ID": "leak-project",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/leak",
        "OPENAI_CUSTOM_HEADERS": "X-Leak: leak-header\nAuthorization: Bearer leak-custom",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)

    frames, errors, requests = await one_reply(Reply("Fine."), api_key="mine", extra_body={"think": False})

    assert (text_of(frames), errors) == ("Fine.", [])
    assert requests[0].headers["authorization"] == "Bearer mine"
    assert set(requests[0].headers) == {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "content-type",
        "content-length",
        "authorization",
    }
    assert "leak" not in str(requests[0].headers)
    assert requests[0].body["think"] is False


@pytest.mark.parametrize(
    "reply",
    [
        Reply("<th", "ink>hm", "</thi", "nk>\n\n", "Paris."),
        Reply("Paris.", thoughts=["The user", " wants a city."]),
        Reply("Paris.", thoughts=["The user"], thought_field="reasoning"),
        Reply("\n\n", "Paris."),
        Reply("[TH", "INK]hm", "[/THINK]", "Paris."),
        Reply("<|channel|>", "analysis<|mess", "age|>hm<|end|><|start|>assistant<|channel|>final<|message|>", "Paris."),
    ],
)
@in_virtual_time
async def test_thoughts_are_never_spoken(reply: Reply) -> None:
    frames, errors, _ = await one_reply(reply)
    assert (text_of(frames), errors) == ("Paris.", [])


@in_virtual_time
async def test_a_model_that_starts_inside_a_thought_is_known_from_its_second_reply_on() -> None:
    unopened = ["The user wants", " Paris.</think>", "Paris."]
    async with (
        ScriptedLLM(Reply(*unopened), Reply(*unopened)) as server,
        session(LocalLLMService(options(server))) as running,
    ):
        await running.ask(question())
        frames, _ = await running.ask(question())
    assert text_of(frames) == "Paris."


@in_virtual_time
async def test_a_model_named_for_its_thinking_is_silent_until_its_thought_is_closed() -> None:
    frames, _, _ = await one_reply(Reply("The user wants Paris.</think>", "Paris."), model="QwQ-32B")
    assert text_of(frames) == "Paris."


@in_virtual_time
async def test_a_reasoning_model_may_take_longer_than_a_stall_as_long_as_it_reasons() -> None:
    # Eight thoughts 0.1 s apart: 0.8 s without a word, but never 0.3 s without a sign of life.
    frames, errors, _ = await one_reply(Reply("Yes.", thoughts=["hm"] * 8, delay_secs=0.1))
    assert (text_of(frames), errors) == ("Yes.", [])


@in_virtual_time
async def test_with_last_turn_only_a_small_model_sees_the_examples_and_the_last_words() -> None:
    context = turns(3)
    context.add_message({"role": "user", "content": "and more"})
    _, _, requests = await one_reply(
        Reply("Fine."), context=context, last_turn_only=True, examples=(("hello", "Hello!"),)
    )
    assert requests[0].messages == [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "q3 and more"},
    ]


@pytest.mark.parametrize("same_index", [False, True])
@in_virtual_time
async def test_tool_calls_reach_their_functions_one_by_one(same_index: bool) -> None:
    called: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def record(params: FunctionCallParams) -> None:
        called.put_nowait((params.function_name, params.arguments))
        await params.result_callback("done")

    calls = Reply(
        "Let me see.",
        tool_calls=[ToolCall("weather", ['{"city":', ' "Paris"}'], "a"), ToolCall("clock", call_id="b")],
    )
    if same_index:  # One chunk with both calls, numbered 0, as some servers send them.
        whole = [
            {"index": 0, "id": "a", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}},
            {"index": 0, "id": "b", "function": {"name": "clock", "arguments": "{}"}},
        ]
        calls.deltas = ((0.0, {"content": "Let me see.", "tool_calls": whole}),)
    schema: list[Any] = [FunctionSchema(name, "", {}, []) for name in ("weather", "clock")]
    context = LLMContext([{"role": "user", "content": "hi"}], tools=schema)
    async with ScriptedLLM(calls) as server:
        service = LocalLLMService(options(server), run_in_parallel=False)
        for name in ("weather", "clock"):
            service.register_function(name, record)
        async with session(service) as running:
            frames, errors = await running.ask(context)
            calls_made = [await asyncio.wait_for(called.get(), WAIT_SECS) for _ in range(2)]
        assert [tool["function"]["name"] for tool in server.requests[0].body["tools"]] == ["weather", "clock"]
    assert (text_of(frames), errors) == ("Let me see.", [])
    assert calls_made == [("weather", {"city": "Paris"}), ("clock", {})]


@in_virtual_time
async def test_a_thought_is_no_part_of_a_single_inference() -> None:
    body = {"choices": [{"message": {"role": "assistant", "content": "<think>hm</think>\nA summary."}}]}
    async with ScriptedLLM(Failure(200, body)) as server:
        service = LocalLLMService(options(server))
        assert await service.ask_once(question(), "Write notes.", 100) == "A summary."
        await service.cleanup()
