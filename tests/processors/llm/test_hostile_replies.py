"""Replies without an end, without words and without sense: each costs a bounded amount, one error and one apology."""

from typing import Any

import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.services.llm_service import FunctionCallParams

from agent.conversation.histories import MAX_CHARS, Histories
from agent.conversation.typed_question import AnswerError, write_answer
from processors.llm.budget import CHARS_PER_TOKEN
from processors.llm.history import LEFT_OUT, cut_longest, within
from processors.llm.rounds import MAX_ROUNDS, MAX_SILENT_ROUNDS
from processors.llm.service import LOST_THREAD
from tests.support.house import hold, hosting, say
from tests.support.llm_session import APOLOGY, apologies, one_reply, options, question, text_of
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Failure, Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import in_virtual_time

OVERFLOW = Failure(400, {"error": {"message": "the request exceeds the available context size"}})


def deltas(*contents: Any) -> Reply:
    reply = Reply("x")
    reply.deltas = tuple((0.0, {"content": content}) for content in contents)
    return reply


@pytest.mark.parametrize("pieces", [["word "] * 500, ["w" * 5000], ["a"] * 2000], ids=["words", "at once", "letters"])
@in_virtual_time
async def test_a_hostile_reply_without_end_is_cut_at_what_max_tokens_stands_for(pieces: list[str]) -> None:
    frames, errors, _ = await one_reply(Reply(*pieces), max_tokens=50)
    assert text_of(frames) == "".join(pieces)[: 50 * CHARS_PER_TOKEN]
    assert apologies(frames) == [LOST_THREAD]
    assert "did not end its reply within 800 characters" in errors[0].error


@in_virtual_time
async def test_a_hostile_call_whose_arguments_have_no_end_is_cut_too() -> None:
    call = ToolCall("clock", ['{"a": "', *["x" * 100] * 50])
    frames, errors, _ = await one_reply(Reply(tool_calls=[call]), max_tokens=50)
    assert apologies(frames) == [APOLOGY]
    assert "did not end its reply within 800 characters" in errors[0].error


@in_virtual_time
async def test_a_hostile_event_without_end_is_cut() -> None:
    answer = Failure(200, "data: " + "x" * 200_000, "text/event-stream")
    frames, errors, _ = await one_reply(answer, max_tokens=50)
    assert apologies(frames) == [APOLOGY]
    assert "an event of more than 75136 bytes" in errors[0].error


class Bytes(str):
    """What stands for these bytes where the scripted server encodes a body."""

    body = b""

    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        return self.body


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'data: {"choices": [{"delta": {"content": "Gr\xfc\xdfe."}}]}\n\n', "Gr\ufffd\ufffde."),
        (b'data: {"choices": [{"delta": {"content": "Caf\xc3\xa9."}}]}\n\n\xff\xfe\n\n', "Caf\xe9."),
    ],
)
@in_virtual_time
async def test_a_hostile_byte_that_is_no_utf8_costs_a_character(body: bytes, said: str) -> None:
    sent = Bytes()
    sent.body = body
    frames, errors, _ = await one_reply(Failure(200, sent, "text/event-stream"))
    assert (text_of(frames), apologies(frames), errors) == (said, [], [])


@pytest.mark.parametrize(
    ("number", "said"), [(1e300, ""), (float("inf"), ""), (float("nan"), ""), (1234567.0, "1234567"), (0.1, "0.1")]
)
@in_virtual_time
async def test_a_hostile_number_is_read_as_people_write_it_or_not_at_all(number: float, said: str) -> None:
    frames, _, _ = await one_reply(deltas(number, " It is."))
    assert text_of(frames) == f"{said} It is.".lstrip()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Failure(200, "<html>hello</html>", "text/html"), "replied with no stream of words, but text/html"),
        (Failure(200, "data: <html>\n\n", "text/event-stream"), "broke off its reply (no JSON: <html>)"),
        (
            Failure(200, f"data: {'9' * 5000}\n\n", "text/event-stream"),
            "broke off its reply (a number with more digits than anybody reads)",
        ),
        (Reply("One", drop_after=1), "closed the connection before the end of its reply"),
        (Reply("One", drop_after=0), "closed the connection before the end of its reply"),
    ],
)
@in_virtual_time
async def test_a_hostile_answer_is_told_as_what_came(answer: Answer, told: str) -> None:
    _, errors, _ = await one_reply(answer, empty_retries=0)
    assert len(errors) == 1
    assert told in errors[0].error
    assert "ollama serve" not in errors[0].error


@in_virtual_time
async def test_a_hostile_call_of_a_tool_that_nobody_has_is_no_answer() -> None:
    calls = Reply(tool_calls=[ToolCall("open_door")])
    frames, errors, requests = await one_reply(calls, calls, calls)
    assert (apologies(frames), len(requests)) == ([APOLOGY], 2)
    assert "replied with a call of a tool that nobody has (open_door)" in errors[0].error


@in_virtual_time
async def test_a_hostile_call_of_a_tool_that_nobody_has_is_an_error_of_a_typed_question() -> None:
    async with ScriptedLLM() as server:
        server.otherwise = Reply(tool_calls=[ToolCall("open_door")])
        with pytest.raises(AnswerError, match="a call of a tool that nobody has"):
            _ = [piece async for piece in write_answer(options(server), question())]


@pytest.mark.parametrize(("words", "n_rounds"), [([], MAX_SILENT_ROUNDS), (["Hm. "], MAX_ROUNDS)])
@pytest.mark.parametrize("tool", ["clock", "open_door"])
@in_virtual_time
async def test_a_hostile_model_that_calls_tools_for_ever_is_asked_a_few_times(
    words: list[str], n_rounds: int, tool: str
) -> None:
    async def tell_time(params: FunctionCallParams) -> None:
        await params.result_callback("noon")

    def give_clock(conversation: Any, _: Any) -> None:
        conversation.context.set_tools(ToolsSchema([FunctionSchema("clock", "The time.", {}, [])]))
        [llm] = [one for one in conversation._worker._pipeline.processors_with_metrics() if hasattr(one, "_rounds")]
        llm.register_function("clock", tell_time)

    stt, tts = ScriptedRecognizerEngine("what time is it", "thanks"), ScriptedSynthesizer()
    replies = [Reply(*words, tool_calls=[ToolCall(tool, call_id=f"c{index}")]) for index in range(n_rounds)]
    async with ScriptedLLM(*replies) as server, hosting(stt, options(server), tts) as host:
        steps = [say("what_time_is_it.wav"), say("days_in_a_week.wav", after="error", delay_secs=3.0)]
        held = await hold(host, steps, prepare=give_clock)
    assert len(server.requests) == n_rounds + 1
    assert [event["stage"] for event in held.named("error")] == ["llm"]
    assert "called tools" in held.named("error")[0]["message"]
    assert [text for text in tts.spoken if text != "Hm."] == [APOLOGY, "Okay."]


@in_virtual_time
async def test_a_hostile_turn_longer_than_the_context_loses_its_middle_and_the_others_stay() -> None:
    enormous = "begin " + "x" * 100_000 + " end"
    context = question("q1")
    context.add_messages([{"role": "assistant", "content": enormous}, {"role": "user", "content": "q2"}])
    frames, errors, requests = await one_reply(OVERFLOW, OVERFLOW, Reply("Fine."), context=context)
    assert (text_of(frames), errors) == ("Fine.", [])
    sizes = [len(request.messages[2]["content"]) for request in requests]
    assert sizes[0] == len(enormous)
    assert sizes[0] / 5 < sizes[0] - sizes[1] < sizes[0]
    assert sizes[2] < 8000
    contents = [str(message.get("content")) for message in context.messages if isinstance(message, dict)]
    assert contents[0] == "q1"
    assert contents[1].startswith("begin ")
    assert contents[1].endswith(" end")
    assert contents[2] == "q2"


@in_virtual_time
async def test_a_hostile_question_longer_than_the_context_is_shortened_itself() -> None:
    context = question("begin " + "x" * 100_000 + " end")
    frames, errors, requests = await one_reply(OVERFLOW, Reply("Fine."), context=context)
    assert (text_of(frames), errors) == ("Fine.", [])
    assert LEFT_OUT in requests[1].messages[-1]["content"]


def test_a_hostile_history_of_one_enormous_turn_becomes_short_enough_to_keep() -> None:
    histories = Histories()
    history = histories.open()
    with histories.held(history, "question"):
        history.context.add_message({"role": "user", "content": "q"})
        history.context.add_message({"role": "assistant", "content": "y" * 3_000_000})
    assert sum(len(turn["text"]) for turn in history.turns()) <= MAX_CHARS
    assert [turn["role"] for turn in history.turns()] == ["user", "assistant"]


def test_ordinary_turns_and_instructions_keep_all_of_their_text() -> None:
    messages: list[Any] = [{"role": "system", "content": "s" * 9000}, {"role": "user", "content": "q" * 3000}]
    assert cut_longest(messages) is messages
    assert within(messages, 100) == messages


@in_virtual_time
async def test_the_apology_is_planned_behind_the_rest_of_a_reply_that_broke_off() -> None:
    stt, tts = ScriptedRecognizerEngine("hello"), ScriptedSynthesizer()
    script = Reply("One two three. Four five", drop_after=1)
    async with ScriptedLLM(script) as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [say("days_in_a_week.wav")])
    planned = " ".join(held.texts("bot_planned"))
    assert planned == f"One two three. Four five {LOST_THREAD}"
    assert " ".join(tts.spoken) == planned
    assert " ".join(held.texts("bot_word")) == planned
