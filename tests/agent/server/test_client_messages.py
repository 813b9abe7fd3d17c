"""What a page sends beside its sound. The conversation is a scripted one that notes what it is asked for."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from agent.conversation.conversation import Conversation
from agent.server.calls.messages import MAX_SAID_CHARS, MAX_TEXT_CHARS, MAX_WAITING, ClientMessages
from processors.llm.turn_point import TurnPoint
from tests.support.virtual_time import in_virtual_time


class NotedConversation:
    """Stands for a conversation: keeps what it was asked to do."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    async def push_to_talk(self, active: bool) -> None:
        self.done.append(active)

    async def type(self, text: str, *, spoken: bool) -> None:
        self.done.append((text, spoken))

    async def interrupt(self) -> None:
        self.done.append("interrupt")

    async def start_over(self, begin: Callable[[], str]) -> None:
        assert begin() == ""
        self.done.append("start_over")

    async def say_again(self, text: str) -> None:
        self.done.append(("again", text))

    async def ask_again(self, point: TurnPoint, text: str, *, spoken: bool) -> None:
        self.done.append((point, text, spoken))

    async def undo(self, mark: str) -> None:
        self.done.append(("undo", mark))


async def handled(*messages: object) -> list[Any]:
    """What a conversation was asked to do for these messages, sent at once."""
    conversation = NotedConversation()
    page = ClientMessages(cast(Conversation, conversation))
    for message in messages:
        page.handle(message)
    if page._working:
        await page._working
    return conversation.done


@in_virtual_time
async def test_messages_are_acted_on_in_order() -> None:
    assert await handled(
        {"type": "text", "text": "hello", "spoken": False},
        {"type": "interrupt"},
        {"type": "text", "text": "again"},
        {"type": "start_over"},
    ) == [("hello", False), "interrupt", ("again", True), "start_over"]


@in_virtual_time
async def test_an_act_is_taken_back_by_its_mark_and_by_nothing_else() -> None:
    wrong = [{"type": "undo", "undo": mark} for mark in (1, True, None, ["a"], {"a": 1}, "a" * 65)]
    assert await handled({"type": "undo"}, *wrong, {"type": "undo", "undo": "4f"}) == [("undo", "4f")]


@in_virtual_time
async def test_what_is_no_text_is_taken_out_of_what_is_typed() -> None:
    assert await handled({"type": "text", "text": "hello \ud800\0\tyou\ncafé 🎉"}) == [("hello ?\tyou\ncafé 🎉", True)]


@in_virtual_time
async def test_the_key_ends_as_it_was_left_however_often_it_is_pressed() -> None:
    flood = [{"type": "push_to_talk", "active": at % 2 == 0} for at in range(1001)]
    assert await handled(*flood) == [True]
    assert await handled(*flood, {"type": "push_to_talk", "active": False}) == []


@in_virtual_time
async def test_of_a_flood_the_newest_few_are_acted_on() -> None:
    done = await handled(*({"type": "text", "text": str(at)} for at in range(500)))
    assert done == [(str(at), True) for at in range(500 - MAX_WAITING, 500)]


@in_virtual_time
async def test_a_turn_is_asked_again_and_an_answer_said_again() -> None:
    back = {"text": "the old words", "later": 2}
    assert await handled(
        {"type": "ask_again", "text": "the new\0 ones", "back": back, "spoken": False},
        {"type": "say_again", "text": "It rains.\0"},
    ) == [(TurnPoint("the old words", 2), "the new ones", False), ("again", "It rains.")]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "ask_again", "text": "new"},
        {"type": "ask_again", "text": " \0", "back": {"text": "old"}},
        {"type": "ask_again", "text": "x" * (MAX_TEXT_CHARS + 1), "back": {"text": "old"}},
        {"type": "ask_again", "text": "new", "back": {"text": "old", "later": -1}},
        {"type": "ask_again", "text": "new", "back": {"text": ""}},
        {"type": "say_again", "text": "x" * (MAX_SAID_CHARS + 1)},
        {"type": "say_again", "text": 7},
        None,
        [],
        "interrupt",
        {"type": "text"},
        {"type": "text", "text": 7},
        {"type": "text", "text": "x" * (MAX_TEXT_CHARS + 1)},
        {"type": ["text"], "text": "x"},
        {"kind": "interrupt"},
        {"type": "signalling", "message": {}},
    ],
)
@in_virtual_time
async def test_what_is_no_message_of_the_page_is_left_alone(message: object) -> None:
    assert await handled(message) == []
