"""Whatever a language model's server streams: words, or one failure that is told and said aloud; never silence."""

import random
from typing import Any

import pytest

from processors.llm.chunks import read_chunk
from processors.llm.failure import ReplyError
from processors.llm.service import LOST_THREAD, LocalLLMService
from tests.support.heard_llm import HeardLLM
from tests.support.hostile_llm import HostileAnswer
from tests.support.llm_session import APOLOGY, apologies, one_reply, options, question, session, text_of
from tests.support.scripted_llm import Failure, Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time


async def _hear(seed: int) -> HeardLLM:
    service = HeardLLM(HostileAnswer(random.Random(seed)).respond)
    await service.hear()
    return service


async def _check(seeds: range) -> tuple[int, int]:
    n_answered = n_failed = 0
    for seed in seeds:
        service = await _hear(seed)
        words = "".join(service.said).strip()
        if service.errors:
            [(message, exception)] = service.errors
            assert isinstance(exception, ReplyError), seed
            assert "\n" not in message, seed
            assert len(message) < 700, seed
            assert service.apology, seed
            n_failed += 1
        else:
            assert words or service.calls, seed
            assert service.apology is None, seed
            n_answered += 1
    return n_answered, n_failed


@in_virtual_time
async def test_a_hostile_stream_ends_with_words_or_with_one_failure() -> None:
    n_answered, n_failed = await _check(range(300))
    assert n_answered > 60
    assert n_failed > 60


@pytest.mark.long
@in_virtual_time
async def test_twenty_thousand_hostile_streams_end_with_words_or_with_one_failure() -> None:
    n_answered, n_failed = await _check(range(1000, 21_000))
    assert n_answered + n_failed == 20_000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([{"type": "text", "text": "Paris"}, {"type": "text", "text": "."}], "Paris."),
        (["Par", "is."], "Paris."),
        ({"type": "text", "text": "Paris."}, "Paris."),
        ({"type": "output_text", "content": [{"text": "Paris."}]}, "Paris."),
        ([{"type": "text", "text": {"value": "Paris."}}], "Paris."),
        (42, "42"),
        (3.5, "3.5"),
        (
            [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Yes."}],
            "Yes.",
        ),
    ],
)
@in_virtual_time
async def test_hostile_content_of_any_shape_is_read(content: Any, said: str) -> None:
    reply = Reply("x")
    reply.deltas = ((0.0, {"content": content}),)
    frames, errors, _ = await one_reply(reply)
    assert (text_of(frames), apologies(frames), errors) == (said, [], [])


@in_virtual_time
async def test_a_hostile_reply_of_two_choices_is_the_first_one_and_a_refusal_is_heard() -> None:
    reply = Reply("x")
    reply.deltas = ((0.0, {"content": None, "refusal": "I cannot."}),)
    frames, errors, _ = await one_reply(reply)
    assert (text_of(frames), apologies(frames), errors) == ("I cannot.", [], [])
    two = {"choices": [{"index": 1, "delta": {"content": "No."}}, {"index": 0, "delta": {"content": "Yes."}}]}
    assert read_chunk(two).text == "Yes."


@pytest.mark.parametrize("content", [None, True, [], {}, [None, 0.0][:1], {"text": None}, {"type": "image_url"}])
@in_virtual_time
async def test_a_hostile_reply_without_words_is_apologised_for_once_and_the_next_turn_works(content: Any) -> None:
    reply = Reply("x")
    reply.deltas = ((0.0, {"content": content}),)
    async with (
        ScriptedLLM(reply, Reply("Back.")) as server,
        session(LocalLLMService(options(server, empty_retries=0))) as running,
    ):
        frames, errors = await running.ask(question())
        assert (text_of(frames), apologies(frames), len(errors)) == ("", [APOLOGY], 1)
        frames, errors = await running.ask(question())
        assert (text_of(frames), apologies(frames), errors) == ("Back.", [], [])


@pytest.mark.parametrize("arguments", ["{", "[1]", "no JSON", '{"a": '])
@in_virtual_time
async def test_a_hostile_tool_call_that_cannot_be_read_is_no_silence(arguments: str) -> None:
    reply = Reply()
    reply.deltas = (
        (0.0, {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "clock", "arguments": arguments}}]}),
    )
    frames, errors, _ = await one_reply(reply, empty_retries=0)
    assert (apologies(frames), len(errors)) == ([APOLOGY], 1)
    assert "a tool call without a name or without arguments in JSON" in errors[0].error


@in_virtual_time
async def test_a_hostile_tool_call_behind_words_is_no_silence_either() -> None:
    reply = Reply("x")
    call = {"index": 0, "id": "a", "function": {"name": "clock", "arguments": "city=Paris"}}
    reply.deltas = ((0.0, {"content": "Let me see."}), (0.0, {"tool_calls": [call]}))
    frames, errors, requests = await one_reply(reply)
    assert (text_of(frames), apologies(frames), len(errors), len(requests)) == ("Let me see.", [LOST_THREAD], 1, 1)


@in_virtual_time
async def test_a_hostile_tool_call_as_text_is_told_as_what_it_is() -> None:
    frames, errors, _ = await one_reply(Reply('{"name": "clock", ', '"arguments": {}}'), empty_retries=0)
    assert (text_of(frames), apologies(frames)) == ("", [APOLOGY])
    assert "a tool call written as text" in errors[0].error


@in_virtual_time
async def test_a_hostile_address_without_v1_is_tried_with_it() -> None:
    async with ScriptedLLM(Failure(404, ""), Reply("Here."), Reply("Again.")) as server:
        plain = server.base_url.removesuffix("/v1")
        service = LocalLLMService(options(server, base_url=plain))
        async with session(service) as running:
            assert text_of((await running.ask(question()))[0]) == "Here."
            assert text_of((await running.ask(question()))[0]) == "Again."
        paths = [request.path for request in server.requests]
    assert paths == ["/chat/completions", "/v1/chat/completions", "/v1/chat/completions"]


@in_virtual_time
async def test_a_hostile_address_that_has_no_v1_either_is_told() -> None:
    async with ScriptedLLM(Failure(404, ""), Failure(404, "")) as server:
        plain = server.base_url.removesuffix("/v1")
        async with session(LocalLLMService(options(server, base_url=plain))) as running:
            frames, errors = await running.ask(question())
    assert apologies(frames) == [APOLOGY]
    assert f"llm.base_url={plain}/v1" in errors[0].error
