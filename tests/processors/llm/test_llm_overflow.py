"""When the conversation no longer fits into the model: the oldest turns go, and only once that helped."""

from typing import Any, cast

import openai
import pytest

from processors.llm.failure import is_context_overflow
from processors.llm.history import drop_oldest_turns, join_user_runs, last_user_words
from tests.support.llm_session import APOLOGY, SYSTEM, apologies, contents, one_reply, text_of, turns
from tests.support.scripted_llm import Failure, Reply
from tests.support.virtual_time import in_virtual_time

OVERFLOWS = [
    {"code": 400, "message": "the request exceeds the available context size, try increasing it"},
    {
        "code": 400,
        "message": "request (4390 tokens) exceeds the available context size (4096 tokens)",
        "type": "exceed_context_size_error",
    },
    {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"},
    {"message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."},
    {"message": "The decoder prompt (length 5000) is longer than the maximum model length of 4096."},
    {"message": "The prompt (total length 5000) is too long to fit into the model (context length 4096)."},
    {"message": "max_tokens must be at least 1, got -186."},
    {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"},
    {
        "message": "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded "
        "with context length of only 4096 tokens, which is not enough."
    },
    {"message": "The number of tokens to keep from the initial prompt is greater than the context length."},
    {"message": "prompt too long; exceeded max context length by 12 tokens"},
    {"message": "Prompt tokens (5000) exceeds context size (4096)", "type": "context_exceeded"},
    {"message": "Requested tokens (5000) exceed context window of 4096"},
    {"message": "Too many tokens in the prompt"},
]
NO_OVERFLOWS = [
    {"message": "Conversation roles must alternate user/assistant"},
    {"message": "unknown field 'context'"},
    {"message": "rate limit exceeded"},
    {"message": "model is loading"},
]


@pytest.mark.parametrize("error", OVERFLOWS)
@in_virtual_time
async def test_every_servers_words_for_a_full_context_shorten_the_conversation(error: dict[str, Any]) -> None:
    status = error.get("code") if isinstance(error.get("code"), int) else 400
    full = Failure(cast(int, status), {"error": error})
    frames, errors, requests = await one_reply(full, Reply("Fine."), context=turns(3))
    assert (text_of(frames), apologies(frames), errors) == ("Fine.", [], [])
    assert [contents(request.messages) for request in requests] == [
        [SYSTEM, "q1", "a1", "q2", "a2", "q3"],
        [SYSTEM, "q2", "a2", "q3"],
    ]


@pytest.mark.parametrize("error", NO_OVERFLOWS)
@in_virtual_time
async def test_other_refusals_are_not_asked_again(error: dict[str, Any]) -> None:
    _, errors, requests = await one_reply(Failure(400, {"error": error}), context=turns(3))
    assert (len(errors), len(requests)) == (1, 1)


@in_virtual_time
async def test_an_overflow_told_inside_the_stream_shortens_the_conversation_too() -> None:
    full = Reply(error_after=0, error={"message": "Context size has been exceeded."})
    frames, _, requests = await one_reply(full, Reply("Fine."), context=turns(3))
    assert (text_of(frames), len(requests)) == ("Fine.", 2)


@in_virtual_time
async def test_turns_left_out_are_forgotten_once_the_shorter_conversation_was_answered() -> None:
    full = Failure(400, {"error": OVERFLOWS[0]})
    context = turns(9)
    frames, errors, requests = await one_reply(full, full, Reply("Fine."), context=context)
    assert (text_of(frames), errors) == ("Fine.", [])
    # Eight older turns, then four, then two.
    assert [len(request.messages) - 1 for request in requests] == [17, 9, 5]
    assert contents(context.messages) == ["q7", "a7", "q8", "a8", "q9"]


@in_virtual_time
async def test_a_conversation_that_never_fits_is_kept_whole_and_given_up_after_five_requests() -> None:
    full = Failure(400, {"error": OVERFLOWS[0]})
    context = turns(40)
    frames, errors, requests = await one_reply(*[full] * 9, context=context)
    assert apologies(frames) == [APOLOGY]
    assert "does not fit into the context of scripted" in errors[0].error
    # 39 older turns, 19, 9, 4, and at last the question alone.
    assert [len(request.messages) - 1 for request in requests] == [79, 39, 19, 9, 1]
    assert context.messages == turns(40).messages


@in_virtual_time
async def test_a_turn_is_left_out_with_its_tool_calls_and_the_system_message_stays() -> None:
    messages: list[Any] = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "q1"},
        {"role": "assistant", "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "r"},
        {"role": "assistant", "content": "a1"},
        {"role": "user", "content": "q2"},
        {"role": "user", "content": "q2 more"},
        {"role": "assistant", "tool_calls": [{"id": "2"}]},
        {"role": "tool", "tool_call_id": "2", "content": "r"},
    ]
    assert drop_oldest_turns(messages) == [messages[0], *messages[5:]]
    assert drop_oldest_turns(messages[5:]) == messages[5:]
    assert drop_oldest_turns([]) == []


def test_user_messages_without_an_answer_between_them_are_joined_without_touching_the_originals() -> None:
    image: Any = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
    messages: list[Any] = [
        {"role": "user", "content": "what is the weather"},
        {"role": "user", "content": "in paris"},
        image,
        {"role": "assistant", "content": "Mild."},
        {"role": "user", "content": "thanks"},
    ]
    before = [dict(message) for message in messages]
    assert join_user_runs(messages) == [
        {"role": "user", "content": "what is the weather in paris"},
        image,
        *messages[3:],
    ]
    assert messages == before
    assert [last_user_words(messages[:2]), last_user_words(messages), last_user_words([])] == [
        "what is the weather in paris",
        "thanks",
        "",
    ]


@in_virtual_time
async def test_with_last_turn_only_an_overflow_leaves_the_conversation_alone() -> None:
    context = turns(3)
    _, errors, requests = await one_reply(Failure(400, {"error": OVERFLOWS[0]}), context=context, last_turn_only=True)
    assert (len(errors), len(requests), len(context.messages)) == (1, 1, 5)


def test_a_connection_error_is_no_full_context() -> None:
    assert not is_context_overflow(ValueError("maximum context length"))
    assert not is_context_overflow(openai.APIConnectionError(request=cast(Any, None)))
