"""Tools in answers in writing: the agent's own, which only read, and the caller's; a scripted model behind."""

import json
from typing import Any, cast

import pytest
from openai.types.chat import ChatCompletionToolUnionParam

from tests.agent.server.test_chat import Chat, chatting
from tests.agent.server.test_completions import ROUTE, calling, refused
from tests.support.scripted_llm import Reply, ToolCall
from tests.support.virtual_time import in_virtual_time

QUESTION: list[Any] = [{"role": "user", "content": "is it warm in Berlin"}]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = ToolCall("weather", ('{"city":', '"Berlin"}'), "call_7")
TOOLS = cast(list[ChatCompletionToolUnionParam], [WEATHER])
RESULT = [
    *QUESTION,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_7", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Berlin"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_7", "content": "31 degrees"},
]


def offered(chat: Chat, index: int = -1) -> list[str]:
    """Names of the tools that the model was told of."""
    return [tool["function"]["name"] for tool in chat.llm.requests[index].body.get("tools", [])]


@in_virtual_time
async def test_the_agents_own_tools_answer_and_nothing_that_acts_is_offered() -> None:
    sums = ToolCall("calculate", ('{"expression": "12345 * 6789"}',), "call_1")
    async with calling(Reply("Let me see.", tool_calls=[sums]), Reply("It is much.")) as (chat, caller):
        answer = await caller.chat.completions.create(model="sotto", messages=QUESTION)
        assert answer.choices[0].message.content == "Let me see.\n\nIt is much."
        assert (answer.choices[0].finish_reason, answer.choices[0].message.tool_calls) == ("stop", None)
        assert offered(chat) == ["current_time", "calculate", "convert"]
        called, result = chat.llm.requests[-1].messages[-2:]
        assert (called["tool_calls"][0]["id"], result["tool_call_id"]) == ("call_1", "call_1")
        assert "83810205" in result["content"].replace(",", "")
        assert answer.usage
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


@in_virtual_time
async def test_what_tools_gave_stays_in_the_history_of_a_typed_conversation() -> None:
    sums = ToolCall("calculate", ('{"expression": "6 * 7"}',), "call_1")
    async with chatting(Reply("Well, ", tool_calls=[sums]), Reply("42."), Reply("Yes.")) as chat:
        (first, *pieces, last) = await chat.ask("tell me about six and seven")
        assert "".join(piece["text"] for _, piece in pieces) == "Well, \n\n42."
        assert last == ("done", {"text": "Well, \n\n42."})
        await chat.ask("are you certain", first[1]["conversation"])
        roles = [message["role"] for message in chat.llm.requests[-1].messages]
        assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
        assert not chat.llm.requests[-1].messages[2].get("content")


@in_virtual_time
async def test_an_answer_that_fails_behind_its_tools_leaves_no_trace() -> None:
    endless = Reply(tool_calls=[ToolCall("current_time")])
    async with chatting(*[endless] * 10) as chat:
        (first, *_, last) = await chat.ask("what is it all about")
        assert last[0] == "error"
        assert "called tools 5 times without an end" in last[1]["message"]
        assert chat.messages(first[1]["conversation"]) == []
        assert len(chat.llm.requests) == 6


@in_virtual_time
async def test_a_tool_that_there_is_not_is_told_so_to_the_model() -> None:
    async with calling(Reply(tool_calls=[ToolCall("set_timer")]), Reply("I cannot.")) as (chat, caller):
        answer = await caller.chat.completions.create(model="sotto", messages=QUESTION)
        assert answer.choices[0].message.content == "I cannot."
        assert "there is no tool set_timer" in chat.llm.requests[-1].messages[-1]["content"]


@in_virtual_time
async def test_a_callers_function_is_called_and_its_result_answered() -> None:
    async with calling(Reply(tool_calls=[CALL]), Reply("It is warm.")) as (chat, caller):
        answer = await caller.chat.completions.create(model="sotto", messages=QUESTION, tools=TOOLS)
        (call,) = answer.choices[0].message.tool_calls or []
        assert call.id == "call_7"
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Berlin"})
        assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("tool_calls", None)
        assert offered(chat)[0] == "weather"
        assert chat.llm.requests[-1].body["tools"][0]["function"]["parameters"] == WEATHER["function"]["parameters"]
        again = await caller.chat.completions.create(model="sotto", messages=RESULT, tools=TOOLS)
        assert again.choices[0].message.content == "It is warm."
        assert [message["role"] for message in chat.llm.requests[-1].messages][1:] == ["user", "assistant", "tool"]
        assert chat.llm.requests[-1].messages[-1]["content"] == "31 degrees"


@in_virtual_time
async def test_calls_are_streamed_as_openais_client_puts_them_together() -> None:
    two = [CALL, ToolCall("weather", ('{"city": "Rome"}',), "call_8")]
    async with calling(Reply("Let me see.", tool_calls=two), Reply(tool_calls=two)) as (_, caller):
        async with caller.chat.completions.stream(model="sotto", messages=QUESTION, tools=TOOLS) as stream:
            whole = (await stream.get_final_completion()).choices[0]
        assert whole.finish_reason == "tool_calls"
        assert whole.message.content == "Let me see."
        assert [call.id for call in whole.message.tool_calls or []] == ["call_7", "call_8"]
        async with caller.chat.completions.stream(
            model="sotto", messages=QUESTION, tools=TOOLS, parallel_tool_calls=False
        ) as stream:
            one = (await stream.get_final_completion()).choices[0]
        assert [call.id for call in one.message.tool_calls or []] == ["call_7"]


@in_virtual_time
async def test_of_two_tools_of_one_name_the_callers_is_offered_and_called() -> None:
    function = {**WEATHER["function"], "name": "current_time"}
    tools = cast(list[ChatCompletionToolUnionParam], [{"type": "function", "function": function}])
    async with calling(Reply(tool_calls=[ToolCall("current_time")])) as (chat, caller):
        answer = await caller.chat.completions.create(model="sotto", messages=QUESTION, tools=tools)
        assert offered(chat) == ["current_time", "calculate", "convert"]
        assert chat.llm.requests[-1].body["tools"][0]["function"]["description"] == "The weather."
        assert answer.choices[0].finish_reason == "tool_calls"


@in_virtual_time
async def test_with_functions_what_needs_no_model_is_left_to_it() -> None:
    messages: list[Any] = [{"role": "user", "content": "set a timer for five minutes"}]
    async with calling(Reply(tool_calls=[CALL])) as (chat, caller):
        words = await caller.chat.completions.create(model="sotto", messages=messages)
        assert "only in a call" in (words.choices[0].message.content or "")
        called = await caller.chat.completions.create(model="sotto", messages=messages, tools=TOOLS)
        assert called.choices[0].finish_reason == "tool_calls"
        assert len(chat.llm.requests) == 1


@in_virtual_time
@pytest.mark.parametrize(
    ("choice", "told", "asked"),
    [
        ("none", [], None),
        ("required", ["weather", "news"], "required"),
        ({"type": "function", "function": {"name": "news"}}, ["news"], "required"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [WEATHER]}},
            ["weather", "current_time", "calculate", "convert"],
            None,
        ),
    ],
)
async def test_the_caller_chooses_what_may_and_must_be_called(choice: Any, told: list[str], asked: str | None) -> None:
    news = {"type": "function", "function": {"name": "news"}}
    async with calling(Reply("Hm.") if asked is None else Reply(tool_calls=[ToolCall("news")])) as (chat, caller):
        tools = cast(list[ChatCompletionToolUnionParam], [WEATHER, news])
        answer = await caller.chat.completions.create(model="sotto", messages=QUESTION, tools=tools, tool_choice=choice)
        assert answer.choices[0].finish_reason == ("stop" if asked is None else "tool_calls")
        assert offered(chat) == told
        assert chat.llm.requests[-1].body.get("tool_choice") == asked


async def test_a_model_that_answers_in_words_where_it_has_to_call_is_a_failure_that_is_told() -> None:
    body = {"messages": QUESTION, "tools": [WEATHER], "tool_choice": "required"}
    async with calling(Reply("Hm.")) as (chat, _):
        error = await refused(chat, body, 502)
        assert "called no function" in error["message"]
    async with calling(Reply("Hm."), changes={"calls_tools": False}) as (chat, _):
        error = await refused(chat, body)
        assert (error["param"], "calls no tools" in error["message"]) == ("tool_choice", True)
        answer = await chat.client.post(ROUTE, json={**body, "tool_choice": "auto"})
        assert answer.json()["choices"][0]["message"]["content"] == "Hm."
        assert offered(chat) == []


TWICE = {"tools": [WEATHER, WEATHER]}
LONE = {"role": "tool", "tool_call_id": "call_7", "content": "x"}


@pytest.mark.parametrize(
    ("changes", "param", "told"),
    [
        ({"tools": {}}, "tools", "tools: it is not a list"),
        ({"tools": [7]}, "tools", "tools[0]: "),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools", "tools[0].type: "),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools", "tools[0].function.name: "),
        ({"tools": [{"type": "function", "function": {"name": "a", "parameters": []}}]}, "tools", "parameters: "),
        (TWICE, "tools", "there are two called weather"),
        ({"tools": [WEATHER] * 129}, "tools", "more than 128"),
        ({"tool_choice": "required"}, "tool_choice", "there are no tools"),
        ({"tools": [WEATHER], "tool_choice": "sometimes"}, "tool_choice", "it is not"),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "news"}}},
            "tool_choice",
            "'news' is none of tools",
        ),
        ({"messages": [*QUESTION, LONE]}, "messages", "messages[1].tool_call_id: no call 'call_7' waits"),
        ({"messages": RESULT[:2]}, "messages", "messages[1].tool_calls: no message of role 'tool'"),
        ({"messages": [*RESULT, LONE]}, "messages", "messages[3].tool_call_id"),
        ({"messages": [*RESULT[:2], *QUESTION]}, "messages", "has the result of 'call_7'"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages", "messages[0].tool_calls"),
    ],
)
async def test_tools_that_cannot_be_used_are_refused_by_their_place(
    changes: dict[str, Any], param: str, told: str
) -> None:
    async with calling() as (chat, _):
        error = await refused(chat, {"messages": QUESTION, **changes})
        assert error["param"] == param
        assert told in error["message"]


async def test_half_a_character_in_a_schema_is_refused() -> None:
    async with calling() as (chat, _):
        body = json.dumps({"messages": QUESTION, "tools": [WEATHER]}).replace('"city"', '"\\ud83d"')
        answer = await chat.client.post(ROUTE, content=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tools")
