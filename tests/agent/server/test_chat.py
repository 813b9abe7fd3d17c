"""Typed questions as the page asks them: the real HTTP server and language model service, a scripted model behind."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from agent.conversation.histories import HistoryInUseError
from agent.server.app import build_app
from agent.server.calls.plan import SessionRequest
from agent.server.state import ServerState
from agent.settings.load import load_settings
from agent.tools.timer_tools import timer_tools
from agent.tools.timers import TimerBook
from agent.tools.toolbox import Toolbox
from processors.llm.asked_model import WRITTEN_HINT
from processors.llm.history import InterruptedReply
from processors.llm.options import LargeModel
from tests.support.llm_session import options
from tests.support.scripted_llm import Failure, Hang, Reply, ScriptedLLM
from tests.support.served import ServedEngine, serving_page
from tests.support.speech_callers import NotingEngine, until
from tests.support.virtual_time import in_virtual_time

Event = tuple[str, dict[str, Any]]
TIMEOUT_SECS = 60


@dataclass
class Chat:
    """A server, its scripted language model, and a client."""

    served: ServedEngine
    llm: ScriptedLLM
    client: httpx.AsyncClient

    async def ask(self, text: str, conversation: str | None = None) -> list[Event]:
        """All events of one answer."""
        body = {"text": text, "conversation": conversation}
        async with aclosing(self.events(body)) as events:
            return [event async for event in events]

    async def events(self, body: dict[str, Any]) -> AsyncGenerator[Event, None]:
        """The events of one answer as they come; leaving hangs up."""
        async with self.client.stream("POST", "/api/chat", json=body) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            name = ""
            async for line in response.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield name, json.loads(line.removeprefix("data: "))

    def messages(self, conversation: str) -> list[Any]:
        """The history."""
        history = self.served.state.histories.find(conversation)
        assert history
        return history.context.messages


@asynccontextmanager
async def chatting(*script: Any, changes: dict[str, Any] | None = None, **limits: Any) -> AsyncIterator[Chat]:
    async with (
        ScriptedLLM(*script) as llm,
        serving_page(NotingEngine(), options(llm, **(changes or {})), **limits) as served,
        httpx.AsyncClient(base_url=served.url, timeout=TIMEOUT_SECS) as client,
    ):
        yield Chat(served, llm, client)


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(texts)]


@in_virtual_time
async def test_an_answer_comes_in_pieces_and_the_next_question_builds_on_it() -> None:
    async with chatting(Reply("**Ber", "lin**", ".\n- Café"), Reply("Paris.")) as chat:
        (first, *pieces, last) = await chat.ask("  capital of Germany? ")
        assert first[0] == "conversation"
        conversation = first[1]["conversation"]
        assert pieces == [("delta", {"text": piece}) for piece in ("**Ber", "lin**", ".\n- Café")]
        assert last == ("done", {"text": "**Berlin**.\n- Café"})
        again = await chat.ask("and of France?", conversation)
        assert again[0] == ("conversation", {"conversation": conversation})
        assert again[1:] == [("delta", {"text": "Paris."}), ("done", {"text": "Paris."})]
        talk = said("capital of Germany?", "**Berlin**.\n- Café", "and of France?", "Paris.")
        assert chat.messages(conversation) == talk
        system, *sent = chat.llm.requests[1].messages
        # What holds for typed questions alone is part of the request, not of the history.
        assert system == {"role": "system", "content": "You are terse."}
        assert sent == [*talk[:2], {"role": "user", "content": f"and of France?\n\n{WRITTEN_HINT}"}]


@in_virtual_time
async def test_typed_questions_go_to_the_model_of_the_rules_and_say_which() -> None:
    async with ScriptedLLM(Reply("def f(): ...")) as huge:
        large = LargeModel(options(huge, model="huge"))
        async with chatting(Reply("Hi."), changes={"large": large}) as chat:
            done = {"text": "Hi.", "model": "scripted", "size": "small", "why": "plain"}
            assert (await chat.ask("hello"))[-1] == ("done", done)
            done = {"text": "def f(): ...", "model": "huge", "size": "large", "why": "code"}
            assert (await chat.ask("a Python function, please"))[-1] == ("done", done)


@in_virtual_time
async def test_thoughts_are_not_part_of_the_answer() -> None:
    async with chatting(Reply("<think>hm, ", "well</think>", "Yes.", thoughts=["so"])) as chat:
        events = await chat.ask("sure?")
        assert events[1:] == [("delta", {"text": "Yes."}), ("done", {"text": "Yes."})]


@in_virtual_time
async def test_an_unknown_conversation_begins_anew() -> None:
    async with chatting() as chat:
        for conversation in ("gone", 7, None, ["x"]):
            async with aclosing(chat.events({"text": "hi", "conversation": conversation})) as events:
                told, *_ = [event async for event in events]
            assert told[1]["conversation"] != conversation
            assert chat.messages(told[1]["conversation"]) == said("hi", "Okay.")


@in_virtual_time
async def test_a_dead_language_model_is_told_and_the_question_can_be_asked_again() -> None:
    async with chatting() as chat:
        await chat.llm.stop()
        (first, last) = await chat.ask("hi")
        conversation = first[1]["conversation"]
        assert last[0] == "error"
        assert last[1]["stage"] == "llm"
        assert last[1]["message"].startswith(f"no language model answers at {chat.llm.base_url}")
        assert chat.messages(conversation) == []
        await chat.llm.start()
        assert (await chat.ask("hi", conversation))[-1] == ("done", {"text": "Okay."})
        assert chat.messages(conversation) == said("hi", "Okay.")


@pytest.mark.parametrize("reply", [Reply("One, ", "two", drop_after=2), Reply("One, ", "two", stall_after=2)])
@in_virtual_time
async def test_an_answer_that_breaks_off_stays_as_far_as_it_came(reply: Reply) -> None:
    async with chatting(reply) as chat:
        events = await chat.ask("count")
        assert [name for name, _ in events] == ["conversation", "delta", "delta", "error"]
        messages = chat.messages(events[0][1]["conversation"])
        assert messages == said("count", "One, two")
        assert isinstance(messages[-1], InterruptedReply)
        await chat.ask("go on", events[0][1]["conversation"])
        assert chat.llm.requests[-1].messages[-2] == {"role": "assistant", "content": "One, two —"}


@in_virtual_time
async def test_a_caller_that_hangs_up_ends_the_models_run_and_what_was_sent_stays() -> None:
    async with chatting(
        Reply("One, ", "two", "three", stall_after=2), changes={"token_stall_timeout_secs": 60}
    ) as chat:
        async with aclosing(chat.events({"text": "count"})) as events:
            conversation = (await anext(events))[1]["conversation"]
            assert [await anext(events), await anext(events)] == [
                ("delta", {"text": "One, "}),
                ("delta", {"text": "two"}),
            ]
        async with asyncio.timeout(TIMEOUT_SECS):
            await chat.llm.requests[0].closed_by_client.wait()
        history = chat.served.state.histories.find(conversation)
        assert history
        await until(lambda: history.used_by is None)
        assert chat.messages(conversation) == said("count", "One, two")
        assert isinstance(chat.messages(conversation)[-1], InterruptedReply)
        assert (await chat.ask("go on", conversation))[-1] == ("done", {"text": "Okay."})


@in_virtual_time
async def test_a_caller_that_hangs_up_before_the_first_word_leaves_no_trace() -> None:
    async with chatting(Hang(), changes={"first_token_timeout_secs": 60.0}) as chat:
        async with aclosing(chat.events({"text": "count"})) as events:
            conversation = (await anext(events))[1]["conversation"]
            await until(lambda: bool(chat.llm.requests))
        async with asyncio.timeout(TIMEOUT_SECS):
            await chat.llm.requests[0].closed_by_client.wait()
        history = chat.served.state.histories.find(conversation)
        assert history
        await until(lambda: history.used_by is None)
        assert chat.messages(conversation) == []


@in_virtual_time
async def test_one_question_at_a_time_in_a_conversation_and_none_in_a_call() -> None:
    async with chatting(Reply("One", "two", stall_after=1), changes={"token_stall_timeout_secs": 60}) as chat:
        async with aclosing(chat.events({"text": "count"})) as events:
            conversation = (await anext(events))[1]["conversation"]
            second = await chat.client.post("/api/chat", json={"text": "hello?", "conversation": conversation})
            assert second.status_code == 409
            assert second.json()["error"].startswith("a typed question of this conversation is unanswered; ")
            for _ in range(2):
                with pytest.raises(HistoryInUseError, match="a typed question of this conversation is unanswered"):
                    async with chat.served.state.sessions().planned(SessionRequest(conversation)):
                        pass
            assert chat.served.state.sessions().n_active == 0
        history = chat.served.state.histories.open()
        with chat.served.state.histories.held(history, "call"):
            called = await chat.client.post("/api/chat", json={"text": "hello?", "conversation": history.id})
        assert called.status_code == 409
        assert called.json()["error"].startswith("this conversation is in a call; ")
        assert history.context.messages == []


@in_virtual_time
async def test_one_question_too_many_is_told_to_come_back() -> None:
    script = [Reply("One", "two", stall_after=1)] * 2
    async with chatting(*script, changes={"token_stall_timeout_secs": 60}, max_chats=2) as chat:
        first, second = chat.events({"text": "1"}), chat.events({"text": "2"})
        async with aclosing(first), aclosing(second):
            await anext(first)
            await anext(second)
            await until(lambda: len(chat.llm.requests) == 2)
            third = await chat.client.post("/api/chat", json={"text": "3"})
            assert (third.status_code, third.headers["retry-after"]) == (429, "1")
            assert third.json()["error"].startswith("2 typed questions are under way, which is as many as may be")
            assert len(chat.served.state.histories) == 2
        await until(lambda: all(request.closed_by_client.is_set() for request in chat.llm.requests))
        async with asyncio.timeout(TIMEOUT_SECS):
            while (await chat.client.post("/api/chat", json={"text": "4"})).status_code != 200:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "the body is not JSON"),
        ("[]", "the body is not a JSON object"),
        ("[" * 100_000, "the body is nested deeper than 32 levels"),
        ("{}", "text is missing"),
        ('{"text": 7}', "text is missing"),
        ('{"text": " \\n "}', "text is missing"),
        (json.dumps({"text": "x" * 8001}), "text is longer than 8000 characters"),
        (json.dumps({"text": "x" * 300_000}), "the body is larger than 262144 bytes"),
        (b'{"text": "\xff"}', "the body is not JSON"),
    ],
)
@in_virtual_time
async def test_a_bad_question_is_refused_with_a_reason(content: str | bytes, message: str) -> None:
    state = ServerState(load_settings())
    transport = httpx.ASGITransport(build_app(state))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        response = await client.post("/api/chat", content=content)
    status = 413 if "larger" in message else 400
    assert (response.status_code, response.json()) == (status, {"error": message})
    assert len(state.histories) == 0


@in_virtual_time
async def test_half_a_character_does_no_harm() -> None:
    async with chatting(Failure(500), Reply("Hi.")) as chat:
        for _ in range(2):
            response = await chat.client.post("/api/chat", content='{"text": "\\ud800 hi\\u0000"}')
            assert response.status_code == 200
        assert chat.llm.requests[1].messages[-1]["content"].startswith("? hi\n\n")


@in_virtual_time
async def test_while_the_models_are_loaded_it_says_so() -> None:
    transport = httpx.ASGITransport(build_app(ServerState(load_settings())))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        response = await client.post("/api/chat", json={"text": "hi"})
    assert response.status_code == 503
    assert response.json() == {"error": "the agent is still loading its models; try again in a moment"}


@in_virtual_time
async def test_what_needs_no_model_is_answered_without_one_and_a_timer_is_not_set() -> None:
    async with chatting() as chat:
        answers = [(await chat.ask(text))[-1] for text in ("What is 12 * 7?", "Set a timer for five minutes.")]
        only_in_call = "I can do that only in a call: start one, and say it or type it there."
        assert answers == [("done", {"text": "That's 84."}), ("done", {"text": only_in_call})]
        assert chat.llm.requests == []


@in_virtual_time
async def test_tools_that_a_call_has_left_in_the_history_are_not_offered_in_writing() -> None:
    async with chatting(Reply("Yes."), Reply("No.")) as chat:
        ((_, begun), *_) = await chat.ask("hi")
        history = chat.served.state.histories.find(begun["conversation"])
        assert history
        history.context.set_tools(Toolbox(timer_tools(TimerBook())).schema())
        await chat.ask("and now?", begun["conversation"])
        told = [{tool["function"]["name"] for tool in request.body["tools"]} for request in chat.llm.requests]
        assert told[1] == told[0]
        assert "set_timer" not in told[0]


@pytest.mark.parametrize(
    ("settings", "text", "language"),
    [
        ({"interpreter.into": "de"}, "Are you hungry?", "German"),
        # What is typed no ears can translate.
        ({"interpreter.into": "en", "stt.task": "translate", "stt.language": "de"}, "Hast du Hunger?", "English"),
        ({"interpreter.languages": "de,en"}, "Hast du noch großen Hunger?", "English"),
        ({"interpreter.languages": "de,en"}, "Are you still very hungry?", "German"),
    ],
)
@in_virtual_time
async def test_an_interpreter_translates_what_is_typed_and_never_answers(
    settings: dict[str, Any], text: str, language: str
) -> None:
    async with chatting(Reply("Guten Tag."), Reply("One."), settings=settings) as chat:
        first = await chat.ask("Hello.")
        await chat.ask(text, conversation=first[0][1]["conversation"])
        above, *sent = chat.llm.requests[-1].messages
        assert above["role"] == "system"
        assert f"Say in {language} what the user says" in above["content"]
        assert sent == [{"role": "user", "content": text}]
        assert [message["content"] for message in chat.messages(first[0][1]["conversation"])][-2:] == [text, "One."]
