"""Two language models: which one is asked, which one answers where that fails, and what is told of it.

The servers are scripted (tests/support/scripted_llm.py); the service is the real one in a running pipeline.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import ErrorFrame, Frame, LLMContextFrame, LLMTextFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams

from processors.errors import MendedError
from processors.llm.answers import Answers, KeptAnswers
from processors.llm.options import LargeModel, LLMOptions
from processors.llm.routing import ANSWERING, REST_SECS, Rules, Why
from processors.llm.service import LOST_THREAD, LocalLLMService
from tests.support.llm_session import APOLOGY, Session, apologies, contents, options, question, session, text_of
from tests.support.scripted_llm import Answer, Drop, Failure, Hang, Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import in_virtual_time

CODE = "Write a Python function that adds two numbers."
PATIENCE_SECS = 2.0


@dataclass
class Two:
    """A service between two servers."""

    small: ScriptedLLM
    large: ScriptedLLM
    service: LocalLLMService
    options: LLMOptions
    running: Session

    async def ask(self, text: str | LLMContext) -> tuple[list[Frame], list[ErrorFrame]]:
        return await self.running.ask(question(text) if isinstance(text, str) else text)

    @property
    def n_asked(self) -> tuple[int, int]:
        return len(self.small.requests), len(self.large.requests)


@asynccontextmanager
async def two(
    small: list[Answer], large: list[Answer], rules: Rules | None = None, service: Any = LocalLLMService, **changes: Any
) -> AsyncIterator[Two]:
    async with ScriptedLLM(*small) as first, ScriptedLLM(*large) as second:
        first.otherwise, second.otherwise = Reply("Small."), Reply("Large.")
        big = replace(options(second), model="big")
        asked = replace(options(first), large=LargeModel(big, rules or Rules()), **changes)
        made = service(asked)
        async with session(made) as running:
            yield Two(first, second, made, asked, running)


def answering(frames: list[Frame]) -> list[tuple[str, str, str]]:
    """(model, size, why) of each piece of text that differs from the one before."""
    told = [frame.metadata[ANSWERING] for frame in frames if isinstance(frame, LLMTextFrame)]
    return list(dict.fromkeys((one.model, one.size, str(one.why)) for one in told))


def image_turn(text: str) -> dict[str, Any]:
    image = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AA=="}}
    return {"role": "user", "content": [{"type": "text", "text": text}, image]}


def with_tool(context: LLMContext, name: str) -> LLMContext:
    context.set_tools(ToolsSchema([FunctionSchema(name, "A tool.", {}, [])]))
    return context


@in_virtual_time
async def test_the_small_model_answers_and_the_large_one_what_a_rule_names() -> None:
    fenced = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "```py\nx = 1\n```"},
        {"role": "user", "content": "shorter"},
    ]
    turns: dict[str, LLMContext] = {
        "plain": question("What is the capital of France?"),
        "code": question(CODE),
        "long": question("so " * 40),
        "image": LLMContext([image_turn("What is this?")]),  # pyright: ignore[reportArgumentType]
    }
    async with two([], []) as models:
        for why, context in turns.items():
            frames, errors = await models.ask(context)
            model = ("scripted", "small") if why == "plain" else ("big", "large")
            assert (answering(frames), errors) == ([(*model, why)], [])
        frames, _ = await models.ask(LLMContext(fenced))  # pyright: ignore[reportArgumentType]
        assert answering(frames) == [("big", "large", "code")]
        assert models.n_asked == (1, 4)
        assert {request.body["model"] for request in models.large.requests} == {"big"}


@in_virtual_time
async def test_rules_that_are_switched_off_leave_all_to_the_small_model() -> None:
    rules = Rules(code=False, min_words=0, tools=False, images=False)
    async with two([], [], rules) as models:
        for context in (question(CODE), question("so " * 99), LLMContext([image_turn("What?")])):  # pyright: ignore
            assert answering((await models.ask(context))[0]) == [("scripted", "small", "plain")]
        # What may see images is sent them.
        assert models.small.requests[2].messages[-1]["content"][1]["type"] == "image_url"


FAILURES: dict[str, Answer] = {
    "refuses": Failure(401, {"error": {"message": "no"}}),
    "is broken": Failure(500, "oops"),
    "hangs": Hang(),
    "hangs behind the head": Hang(head=True),
    "drops": Drop(),
    "dies in a thought": Reply("late", thoughts=["Hm"], drop_after=1),
    "says that it failed": Reply("late", error_after=0, error={"message": "out of memory"}),
    "is no stream": Failure(200, "<html>", "text/html"),
}


@pytest.mark.parametrize("name", FAILURES)
@in_virtual_time
async def test_a_model_that_fails_before_a_word_is_replaced_within_the_turn_and_left_alone_for_a_while(
    name: str,
) -> None:
    failure = FAILURES[name]
    async with two([failure, failure], [], service=LocalLLMService, empty_retries=0) as models:
        frames, errors = await models.ask("hi")
        assert (text_of(frames), apologies(frames)) == ("Large.", [])
        assert answering(frames) == [("big", "large", "failover")]
        assert [type(error.exception) for error in errors] == [MendedError]
        assert errors[0].error.endswith("; big answers")
        frames, errors = await models.ask("hello")
        # It is left alone, and nobody waits for it.
        assert (answering(frames), errors) == ([("big", "large", "resting")], [])
        assert models.n_asked == (1, 2)


@in_virtual_time
async def test_a_model_that_says_nothing_is_replaced_for_that_turn_alone() -> None:
    async with two([Reply(), Reply()], [], empty_retries=1) as models:
        frames, errors = await models.ask("hi")
        assert (answering(frames), len(errors)) == ([("big", "large", "failover")], 1)
        assert answering((await models.ask("hi"))[0]) == [("scripted", "small", "plain")]
        assert models.n_asked == (3, 1)


@pytest.mark.parametrize("status", [400, 413, 422])
@in_virtual_time
async def test_a_model_that_refuses_one_request_is_replaced_for_that_turn_alone(status: int) -> None:
    async with two([Failure(status, "no such field"), Reply("Small.")], []) as models:
        assert answering((await models.ask("hi"))[0]) == [("big", "large", "failover")]
        assert answering((await models.ask("hi"))[0]) == [("scripted", "small", "plain")]


@in_virtual_time
async def test_a_server_that_is_gone_costs_no_turn_and_is_asked_again_once_it_is_back() -> None:
    async with two([], []) as models:
        await models.small.stop()
        assert text_of((await models.ask("hi"))[0]) == "Large."
        await models.small.start()
        assert text_of((await models.ask("hi"))[0]) == "Large."
        await asyncio.sleep(REST_SECS[0])
        frames, errors = await models.ask("hi")
        assert (answering(frames), errors) == ([("scripted", "small", "plain")], [])


@in_virtual_time
async def test_a_model_that_goes_on_failing_is_tried_later_and_later_and_anew_once_it_has_answered() -> None:
    failure = Failure(500, "oops")
    async with two([failure, failure, failure, Reply("Back."), failure], []) as models:
        for n_failures, rest_secs in enumerate(REST_SECS[:3], start=1):
            await models.ask("hi")
            assert len(models.small.requests) == n_failures
            await asyncio.sleep(rest_secs - 1.0)
            await models.ask("hi")
            assert len(models.small.requests) == n_failures
            await asyncio.sleep(1.0)
        assert text_of((await models.ask("hi"))[0]) == "Back."
        await models.ask("hi")
        await asyncio.sleep(REST_SECS[0])
        assert text_of((await models.ask("hi"))[0]) == "Small."


@in_virtual_time
async def test_the_large_model_is_stood_in_for_by_the_small_one_which_sees_no_images() -> None:
    async with two([], [Failure(500, "oops")]) as models:
        frames, _ = await models.ask(LLMContext([image_turn("What is this?")]))  # pyright: ignore[reportArgumentType]
        assert answering(frames) == [("scripted", "small", "failover")]
        asked = "What is this?\n[an image that you cannot see]"
        assert models.small.requests[0].messages[-1] == {"role": "user", "content": asked}


@in_virtual_time
async def test_words_that_were_said_are_not_said_again_by_the_other_model() -> None:
    async with two([Reply("One ", "two ", drop_after=2)], []) as models:
        frames, errors = await models.ask("hi")
        assert (text_of(frames), apologies(frames)) == ("One two ", [LOST_THREAD])
        assert (len(errors), models.n_asked) == (1, (1, 0))
        # It is left alone all the same.
        assert answering((await models.ask("hi"))[0]) == [("big", "large", "resting")]


@in_virtual_time
async def test_a_reply_without_an_end_is_cut_and_not_begun_again_by_the_other_model() -> None:
    async with two([Reply(*["word "] * 40)], [], max_tokens=2) as models:
        frames, errors = await models.ask("hi")
        # Two tokens of at most 16 characters: six words and two letters.
        assert (text_of(frames), apologies(frames)) == ("word " * 6 + "wo", [LOST_THREAD])
        assert (len(errors), models.n_asked) == (1, (1, 0))


@in_virtual_time
async def test_where_both_fail_one_line_tells_of_both_and_the_agent_apologises_once() -> None:
    async with two([Failure(500, "small is broken")], [Failure(500, "large is broken")]) as models:
        frames, errors = await models.ask("hi")
        assert (text_of(frames), apologies(frames)) == ("", [APOLOGY])
        assert len(errors) == 1
        assert errors[0].error.index("small is broken") < errors[0].error.index("large is broken")
        # Both are left alone, so both are asked again: the rules' choice first.
        assert answering((await models.ask("hi"))[0]) == [("scripted", "small", "plain")]


@in_virtual_time
async def test_what_is_asked_of_one_model_alone_is_told_no_differently_than_before() -> None:
    async with ScriptedLLM(Reply("Hello.")) as server, session(LocalLLMService(options(server))) as running:
        frames, _ = await running.ask(question(CODE))
        assert [frame.metadata for frame in frames if isinstance(frame, LLMTextFrame)] == [{}]


class WithTimer(LocalLLMService):
    """Can set a timer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.n_set = 0
        self.register_function("set_timer", self._set)

    async def _set(self, params: FunctionCallParams) -> None:
        self.n_set += 1
        await params.result_callback({"set": True})


@in_virtual_time
async def test_what_needs_a_tool_goes_to_the_large_model_once_the_small_one_has_refused_tools() -> None:
    refusal = Failure(400, {"error": {"message": "scripted does not support tools"}})
    async with two([refusal], [], service=WithTimer) as models:
        frames, errors = await models.ask(with_tool(question("Wake me in an hour."), "set_timer"))
        assert (answering(frames), errors) == ([("big", "large", "failover")], [])
        # It is not left alone for that, and known from now on to call none.
        frames, _ = await models.ask(with_tool(question("How are you?"), "set_timer"))
        assert answering(frames) == [("scripted", "small", "plain")]
        assert "tools" not in models.small.requests[1].body
        frames, _ = await models.ask(with_tool(question("Stell einen Wecker."), "set_timer"))
        assert answering(frames) == [("big", "large", "tool")]


@in_virtual_time
async def test_a_model_that_is_sent_the_last_turn_alone_is_asked_for_nothing_that_needs_a_tool() -> None:
    async with two([], [], service=WithTimer, last_turn_only=True) as models:
        frames, _ = await models.ask(with_tool(question("Set a timer."), "set_timer"))
        assert answering(frames) == [("big", "large", "tool")]
        # Without such a tool it is a turn like any other.
        assert answering((await models.ask("Set a timer."))[0]) == [("scripted", "small", "plain")]


@in_virtual_time
async def test_the_model_that_called_a_tool_is_told_what_it_answered() -> None:
    call = Reply(tool_calls=[ToolCall("set_timer")])
    async with two([], [call], service=WithTimer) as models:
        context = with_tool(question(f"{CODE} And set a timer."), "set_timer")
        await models.ask(context)
        messages: list[Any] = [
            *context.messages,
            {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": CALLED}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "{}"},
        ]
        frames, _ = await models.ask(with_tool(LLMContext(messages), "set_timer"))
        assert answering(frames) == [("big", "large", "same")]
        assert models.n_asked == (0, 2)


CALLED = {"name": "set_timer", "arguments": "{}"}


@in_virtual_time
async def test_a_call_that_breaks_off_is_made_once_by_the_other_model() -> None:
    call = ToolCall("set_timer", ["{", "}"])
    async with two([Reply(tool_calls=[call], drop_after=2)], [Reply(tool_calls=[call])], service=WithTimer) as models:
        await models.ask(with_tool(question("Set a timer."), "set_timer"))
        assert isinstance(models.service, WithTimer)
        assert (models.service.n_set, models.n_asked) == (1, (1, 1))


@in_virtual_time
async def test_each_model_is_sent_what_its_context_holds_and_the_history_stays_whole() -> None:
    said: list[Any] = []
    for number in range(20):
        said += [
            {"role": "user", "content": f"Question {number} " + "x" * 200},
            {"role": "assistant", "content": f"Answer {number}"},
        ]
    async with two([], [], context_tokens=1024, max_tokens=256) as models:
        history = LLMContext([*said, {"role": "user", "content": "And now?"}])
        await models.ask(history)
        sent = contents(models.small.requests[0].messages)
        # 1024 less 256 for the reply: 768 tokens, of which a question takes about 70 and an answer 10.
        assert (sent[0], sent[-1]) == ("You are terse.", "And now?")
        assert 10 < len(sent) < 26
        assert len(history.messages) == 41
        await models.ask(LLMContext([*said, {"role": "user", "content": CODE}]))
        assert len(models.large.requests[0].messages) == 42


@in_virtual_time
async def test_an_overflow_of_the_small_model_leaves_the_history_to_the_large_one() -> None:
    full = Failure(400, {"error": {"message": "maximum context length is 8 tokens"}})
    async with two([full], []) as models:
        talk: list[Any] = [{"role": role, "content": "w"} for _ in range(8) for role in ("user", "assistant")]
        history = LLMContext([*talk, {"role": "user", "content": "hi"}])
        frames, errors = await models.ask(history)
        assert (text_of(frames), errors, len(history.messages)) == ("Small.", [], 17)
        assert len(models.small.requests[1].messages) < 18
        assert models.n_asked == (2, 0)


@in_virtual_time
async def test_a_reply_that_is_cut_or_thrown_away_is_held_against_nobody() -> None:
    async with two([Hang()], []) as models:
        await models.running.send(LLMContextFrame(question("hi")))
        await models.small.asked()
        await models.service._start_interruption()
        frames, _ = await models.ask("hi")
        assert (answering(frames), models.n_asked) == ([("scripted", "small", "plain")], (2, 0))


@in_virtual_time
async def test_an_answer_that_another_model_gave_is_not_kept() -> None:
    kept = Answers()

    def keeping(asked: LLMOptions) -> LocalLLMService:
        return LocalLLMService(asked, answers=KeptAnswers(kept, "about"))

    async with two([Failure(500, "oops")], [], service=keeping) as models:
        await models.ask("hi")
        assert len(kept) == 0
        await models.ask(CODE)
        assert len(kept) == 1


@in_virtual_time
async def test_a_summary_is_written_by_whoever_answers() -> None:
    async with two([Reply("Notes."), Failure(500, "oops")], [Reply("Other notes.")]) as models:
        # Scripted answers stream; a summary is asked for whole.
        whole = Failure(200, {"choices": [{"message": {"role": "assistant", "content": "Notes."}}]})
        models.small.script[0], models.large.script[0] = whole, whole
        assert await models.service.ask_once(question("talk"), "Sum up.", 50) == "Notes."
        assert models.n_asked == (1, 0)
        assert await models.service.ask_once(question("talk"), "Sum up.", 50) == "Notes."
        assert models.n_asked == (2, 1)


def test_rules_name_themselves() -> None:
    rules = Rules()
    assert rules.why(question("Schreib mir ein Python-Skript."), calls_tools=True) is Why.CODE
    assert rules.why(question("Explique este código."), calls_tools=True) is Why.CODE
    assert rules.why(question("Wie spät ist es?"), calls_tools=True) is Why.PLAIN
    assert rules.why(with_tool(question("Wie spät ist es?"), "current_time"), calls_tools=False) is Why.TOOL
    assert rules.why(with_tool(question("How is the weather?"), "get_weather"), calls_tools=False) is Why.TOOL
    assert rules.why(with_tool(question("Who was Ada?"), "get_weather"), calls_tools=False) is Why.PLAIN
