"""OpenAI's chat API on the agent's own brain: openai's client against the real server, a scripted model behind."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.agent.server.test_chat import Chat, chatting
from tests.support.scripted_engines import ScriptedRecognizerEngine
from tests.support.scripted_llm import Failure, Reply
from tests.support.served import serving_engine
from tests.support.speech_callers import until
from tests.support.virtual_time import in_virtual_time

ROUTE = "/v1/chat/completions"
MESSAGES: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "Paris."},
    {"role": "user", "content": [{"type": "text", "text": "And of"}, {"type": "text", "text": "Germany?"}]},
]


@asynccontextmanager
async def calling(*script: Any, **limits: Any) -> AsyncIterator[tuple[Chat, openai.AsyncOpenAI]]:
    async with (
        chatting(*script, **limits) as chat,
        openai.AsyncOpenAI(base_url=f"{chat.served.url}/v1", api_key="none", max_retries=0) as caller,
    ):
        yield chat, caller


def asked(chat: Chat) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in chat.llm.requests[-1].messages]


async def refused(chat: Chat, body: Any, status: int = 400) -> dict[str, Any]:
    answer = await chat.client.post(ROUTE, json=body)
    assert answer.status_code == status
    return answer.json()["error"]


@in_virtual_time
async def test_a_conversation_of_the_callers_is_answered_by_the_agent() -> None:
    async with calling(Reply("The capital of ", "Germany is Berlin.")) as (chat, caller):
        answer = await caller.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0.2, max_tokens=40)
        (instructions, *said) = asked(chat)
        assert answer.choices[0].message.content == "The capital of Germany is Berlin."
        assert (answer.choices[0].finish_reason, answer.model, answer.object) == ("stop", "gpt-4o", "chat.completion")
        assert instructions[0] == "system"
        assert chat.served.state.settings.llm.system_prompt not in ("", "Be brief.")
        assert instructions[1].index("Be brief.") > 0
        assert said[:2] == [("user", "What is the capital of France?"), ("assistant", "Paris.")]
        # With the hint that it is read, as for questions that are typed into the page.
        assert said[2][1].startswith("And of\nGermany?\n\n(")
        request = chat.llm.requests[-1].body
        assert (request["temperature"], request["max_tokens"]) == (0.2, 40)
        # It is the caller who keeps the conversation.
        assert len(chat.served.state.histories) == 0
        assert "sotto" in [model.id async for model in caller.models.list()]
        assert (await caller.models.retrieve("sotto")).owned_by == "sotto"


@in_virtual_time
async def test_an_answer_is_streamed_as_openais_client_reads_it() -> None:
    async with calling(Reply("One. ", "Two. ", "Three.")) as (_, caller):
        stream = await caller.chat.completions.create(
            model="sotto", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        pieces = [piece async for piece in stream]
    first, *middle, last, usage = pieces
    assert first.choices[0].delta.role == "assistant"
    assert "".join(one.choices[0].delta.content or "" for one in (first, *middle)) == "One. Two. Three."
    assert [one.choices[0].finish_reason for one in (first, *middle)] == [None] * (len(middle) + 1)
    assert last.choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage
    assert {one.id for one in pieces} == {first.id}


@in_virtual_time
async def test_a_stream_ends_with_the_mark_that_clients_wait_for() -> None:
    async with calling(Reply("Hi.")) as (chat, _):
        answer = await chat.client.post(ROUTE, json={"messages": MESSAGES, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")


@in_virtual_time
async def test_what_needs_no_model_is_answered_without_one() -> None:
    async with calling() as (chat, caller):
        messages = [{"role": "user", "content": "what is two plus two"}]
        answer = await caller.chat.completions.create(
            model="sotto", messages=cast(list[ChatCompletionMessageParam], messages)
        )
        assert "4" in (answer.choices[0].message.content or "")
        assert chat.llm.requests == []


@in_virtual_time
async def test_a_caller_may_shorten_answers_and_not_lengthen_them() -> None:
    async with calling(Reply("Hi."), changes={"max_tokens": 100}) as (chat, caller):
        await caller.chat.completions.create(model="sotto", messages=MESSAGES, max_completion_tokens=5000)
        assert chat.llm.requests[-1].body["max_tokens"] == 100


@in_virtual_time
async def test_a_model_that_fails_before_a_word_is_an_error_and_behind_one_the_last_event() -> None:
    broken = Failure(500)
    script = (*[broken] * 8, Reply("One ", drop_after=1))
    async with calling(*script[:8]) as (_, caller):
        with pytest.raises(openai.InternalServerError) as raised:
            await caller.chat.completions.create(model="sotto", messages=MESSAGES, stream=True)
        assert cast(dict[str, Any], raised.value.body)["code"] == "model_failed"
    async with calling(script[8]) as (chat, _):
        answer = await chat.client.post(ROUTE, json={"messages": MESSAGES, "stream": True})
        events = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: {")]
        assert events[0]["choices"][0]["delta"]["content"] == "One "
        assert events[-1]["error"]["code"] == "model_failed"
        assert "[DONE]" not in answer.text


@in_virtual_time
async def test_a_caller_who_hangs_up_ends_the_models_work() -> None:
    async with calling(Reply("One ", stall_after=1), max_chats=1) as (chat, _):
        body = {"messages": MESSAGES, "stream": True}
        async with chat.client.stream("POST", ROUTE, json=body) as answer:
            assert "One " in await anext(answer.aiter_lines())
            assert (await chat.client.post(ROUTE, json=body)).status_code == 429
            assert (await chat.client.post("/api/chat", json={"text": "hello?"})).status_code == 429
        await until(lambda: chat.served.state.questions.n_active == 0)


@pytest.mark.parametrize(
    ("changes", "param", "told"),
    [
        ({"messages": None}, "messages", "messages is missing"),
        ({"messages": []}, "messages", "messages is missing"),
        ({"messages": "hello"}, "messages", "messages is missing"),
        ({"messages": [{"role": "user", "content": "x"}] * 1001}, "messages", "more than 1000"),
        ({"messages": ["hello"]}, "messages", "messages[0]: "),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages", "messages[0].role: "),
        ({"messages": [{"role": "user", "content": 7}]}, "messages", "messages[0].content: "),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
            "messages",
            "messages[0].content[0]: its type is 'image_url', not 'text'",
        ),
        ({"messages": MESSAGES[:3]}, "messages", "the last one is not a question"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages", "the last one is not a question"),
        ({"functions": [{"name": "x"}]}, "functions", "tools has taken its place"),
        ({"n": 2}, "n", "there is one answer"),
        ({"stop": ["\n"]}, "stop", "not served"),
        ({"response_format": {"type": "json_object"}}, "response_format", "not served"),
        ({"temperature": 3}, "temperature", "less than or equal to 2"),
        ({"temperature": "hot"}, "temperature", "temperature = 'hot'"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"stream": "yes"}, "stream", "stream = 'yes'"),
    ],
)
async def test_what_cannot_be_answered_names_the_field(changes: dict[str, Any], param: str, told: str) -> None:
    async with calling() as (chat, _):
        error = await refused(chat, {"model": "sotto", "messages": MESSAGES, **changes})
        assert (error["param"], error["type"]) == (param, "invalid_request_error")
        assert told in error["message"]
        assert chat.llm.requests == []


@in_virtual_time
async def test_what_asks_for_nothing_and_what_nobody_knows_is_passed_over() -> None:
    idle = {"tools": [], "n": 1, "stop": None, "logprobs": False, "response_format": {"type": "text"}, "seed": 7}
    async with calling(Reply("Hi.")) as (chat, _):
        answer = await chat.client.post(ROUTE, json={"messages": MESSAGES, "user": "me", "newer": {"x": 1}, **idle})
        assert answer.json()["choices"][0]["message"]["content"] == "Hi."
        assert answer.json()["model"] == "sotto"


async def test_broken_bodies_are_refused_in_the_apis_shape() -> None:
    async with calling() as (chat, _):
        for body in (b"", b"[1]", b"{", b"x" * 300_000, b'{"messages": ' + b"[" * 5000):
            answer = await chat.client.post(ROUTE, content=body)
            status = 413 if len(body) == 300_000 else 400
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, "invalid_body")
        assert (await chat.client.get(ROUTE)).json()["error"]["code"] == "unknown_url"


async def test_ears_alone_say_that_there_is_no_brain_and_a_key_is_asked_for() -> None:
    async with (
        serving_engine(ScriptedRecognizerEngine()) as server,
        httpx.AsyncClient(base_url=server.url, timeout=60) as client,
    ):
        answer = await client.post(ROUTE, json={"messages": MESSAGES})
        assert (answer.status_code, answer.json()["error"]["code"]) == (501, "no_language_model_loaded")
    async with calling(Reply("Hi."), api_key="secret-key") as (chat, _):
        assert (await chat.client.post(ROUTE, json={"messages": MESSAGES})).status_code == 401
        right = {"Authorization": "Bearer secret-key"}
        assert (await chat.client.post(ROUTE, json={"messages": MESSAGES}, headers=right)).status_code == 200


@in_virtual_time
async def test_bodies_that_come_slowly_keep_nobody_from_a_place() -> None:
    async with calling(Reply("Hi."), max_chats=1, max_speeches=1) as (chat, caller):
        port = httpx.URL(chat.served.url).port
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for (_, writer), path in zip(slow, (ROUTE, "/v1/audio/speech"), strict=True):
            head = (
                f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 99\r\n"
            )
            writer.write(f"{head}\r\n{{".encode())
        await until(lambda: not any(writer.transport.get_write_buffer_size() for _, writer in slow))
        assert (await chat.client.get("/health")).status_code == 200
        answer = await caller.chat.completions.create(model="sotto", messages=MESSAGES)
        assert answer.choices[0].message.content == "Hi."
        spoken = await caller.audio.speech.create(model="tts-1", voice="alloy", input="Hi.", response_format="pcm")
        assert len(spoken.content) > 0
        for _, writer in slow:
            writer.transport.abort()
