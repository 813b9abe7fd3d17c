"""A conversation goes back to a turn of the user's, which is asked in other words; and something is said once more."""

from collections.abc import Awaitable, Callable

import pytest
from pipecat.processors.aggregators.llm_context import LLMContextMessage

from agent.conversation.conversation import GONE, Conversation
from processors.llm.pictures import asked_with
from processors.llm.routing import without_images
from processors.llm.turn_point import MAX_CHARS, TurnPoint, before_turn
from tests.agent.conversation.test_typed_turn import STORY, messages, talk, type_
from tests.support.virtual_time import in_virtual_time


def again(old: str, text: str, *, later: int = 0) -> Callable[[Conversation], Awaitable[None]]:
    return lambda conversation: conversation.ask_again(TurnPoint(old, later), text, spoken=False)


def say_again(text: str) -> Callable[[Conversation], Awaitable[None]]:
    return lambda conversation: conversation.say_again(text)


@in_virtual_time
async def test_a_heard_turn_is_asked_again_in_other_words_and_what_came_after_it_is_gone() -> None:
    held, server, _ = await talk(
        (5.0, type_("and then")),
        (7.0, again("hello there", "who is there", later=1)),
        replies={"and then": "Rain.", "who is there": "Me."},
    )
    assert messages(held) == [("user", "who is there"), ("assistant", "Me.")]
    assert "hello there" not in str(server.requests[-1].messages)
    (back,) = held.named("went_back")
    assert (back["text"], back["later"]) == ("hello there", 1)
    order = [event["event"] for event in held.events if event["event"] in ("went_back", "turn_ended")]
    assert order == ["turn_ended", "turn_ended", "went_back", "turn_ended"]


@in_virtual_time
async def test_a_turn_is_asked_again_while_its_answer_is_spoken() -> None:
    held, _, _ = await talk((4.0, again("hello there", "who are you")), replies={"hello there": STORY})
    assert messages(held) == [("user", "who are you"), ("assistant", "Noon.")]
    assert len(held.named("interruption")) == 1


@in_virtual_time
async def test_a_turn_that_is_not_in_the_history_is_told_and_nothing_is_asked() -> None:
    held, server, _ = await talk((5.0, again("never said", "who are you", later=1)))
    assert messages(held) == [("user", "hello there"), ("assistant", "Noon.")]
    assert [(error["stage"], error["message"]) for error in held.named("error")] == [("history", GONE)]
    assert len(server.requests) == 1


@in_virtual_time
async def test_what_was_told_to_stay_is_not_taken_back_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(conversation: Conversation) -> None:
        with monkeypatch.context() as impatient:
            impatient.setattr("agent.conversation.conversation.STOP_TIMEOUT_SECS", 0)
            await again("hello there", "who are you")(conversation)

    held, server, _ = await talk((5.0, ask))
    assert [(error["stage"], error["message"]) for error in held.named("error")] == [("history", GONE)]
    assert messages(held) == [("user", "hello there"), ("assistant", "Noon.")]
    assert len(server.requests) == 1


@in_virtual_time
async def test_what_the_agent_said_is_said_once_more_and_heard_into_the_history() -> None:
    held, server, tts = await talk((5.0, say_again("**Noon.**")))
    assert tts.spoken == ["Noon.", "Noon."]
    assert messages(held) == [("user", "hello there"), ("assistant", "Noon."), ("assistant", "Noon.")]
    assert len(server.requests) == 1


def turns(*texts: str) -> list[LLMContextMessage]:
    roles = ("user", "assistant")
    return [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize(
    ("point", "n_kept"),
    [
        (TurnPoint("yes", 1), 2),
        (TurnPoint(" yes ", 0), 4),
        (TurnPoint("yes", 6), 2),
        # So many later turns left no trace? It stands in notes.
        (TurnPoint("yes", 9), None),
        (TurnPoint("tell me", 2), 0),
        # The last turn leaves no trace where it was not answered.
        (TurnPoint("unanswered", 0), 6),
        (TurnPoint("unanswered", 1), None),
        # What stands further back, or holds its letters, is another one.
        (TurnPoint("tell me", 0), 6),
        (TurnPoint("tell me", 1), None),
        (TurnPoint("ye", 2), None),
        (TurnPoint("me", 0), 6),
    ],
)
def test_of_several_turns_with_the_same_words_the_nearest_is_meant(point: TurnPoint, n_kept: int | None) -> None:
    said = turns("tell  me", "Shall I?", "yes", "Really?", "yes", "It rained.")
    assert before_turn(said, point) == (None if n_kept is None else said[:n_kept])


def test_what_was_joined_before_the_turn_stays() -> None:
    said = turns("how is the weather in paris", "It rains.")
    assert before_turn(said, TurnPoint("in paris")) == turns("how is the weather")


def test_what_was_joined_behind_the_turn_goes_with_it() -> None:
    assert before_turn(turns("how is the weather in paris", "It rains."), TurnPoint("how is the weather", 1)) == []


def test_a_last_turn_without_a_trace_takes_no_longer_one_back_that_holds_its_words() -> None:
    said = turns("yes or no", "No.", "was it yes then", "Never.")
    assert before_turn(said, TurnPoint("yes")) == said


def test_a_picture_that_is_hidden_by_now_is_no_word_of_its_turn() -> None:
    said = without_images([asked_with("what is this", ["data:,"])])
    assert before_turn(said, TurnPoint("what is this")) == []


@pytest.mark.parametrize(
    "told",
    [
        None,
        "hello",
        [],
        {},
        {"text": 7},
        {"text": " "},
        {"text": "x" * (MAX_CHARS + 1)},
        {"text": "x", "later": -1},
        {"text": "x", "later": True},
        {"text": "x", "later": "1"},
        {"text": "x", "later": 10**9},
    ],
)
def test_what_is_no_turn_is_none(told: object) -> None:
    assert TurnPoint.read(told) is None
