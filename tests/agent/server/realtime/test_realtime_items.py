"""What a Realtime client does with items: which words of the history each one means, and what it may put in."""

from typing import Any

import pytest

from agent.conversation.histories import MAX_CHARS
from agent.server.realtime.item_places import cut_to, with_inserted, without
from agent.server.realtime.items import MAX_ITEMS, Item, Items
from agent.server.realtime.problems import RealtimeProblem
from processors.llm.history import InterruptedReply
from tests.agent.server.realtime.stage import Stage, talking
from tests.support.realtime_caller import RealtimeCaller
from tests.support.virtual_time import in_virtual_time

CREATE = "conversation.item.create"
FOUR = "It is four."
STORY = "Once upon a time there was a king."


def spoken(role: str, text: str) -> Item:
    """An item of what was said."""
    return Item({"id": f"{role} {text}", "role": role, "content": [{"transcript": text}]})


def said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def contents(messages: list[Any]) -> list[str]:
    return [str(message["content"]) for message in messages]


async def write(caller: RealtimeCaller, text: str, role: str = "user", **item: Any) -> str:
    """Put a message into the conversation; its item's id."""
    n_done = len(caller.named("conversation.item.done"))
    part = {"type": "output_text" if role == "assistant" else "input_text", "text": text}
    await caller.tell({"type": CREATE, "item": {"type": "message", "role": role, "content": [part], **item}})
    return (await caller.until("conversation.item.done", n_done + 1))["item"]["id"]


async def unheard_answer(caller: RealtimeCaller, stage: Stage) -> str:
    """The id of an answer of which sound was sent, and no word was heard; it stands behind one that was heard."""
    await write(caller, "What is 2+2?")
    await caller.tell({"type": "response.create"})
    await caller.until("response.done")
    await write(caller, "And tell me a story")
    n_deltas = len(caller.named("response.output_audio.delta"))
    await caller.tell({"type": "response.create"})
    await caller.until("response.output_audio.delta", n_deltas + 1)
    await caller.tell({"type": "response.cancel"})
    [item] = (await caller.until("response.done", 2))["response"]["output"]
    assert item["content"] == [{"type": "output_audio", "transcript": ""}]
    assert contents(stage.history()) == ["What is 2+2?", FOUR, "And tell me a story"]
    return item["id"]


@pytest.mark.parametrize("event", ["delete", "truncate"])
def test_an_answer_of_which_nothing_was_heard_takes_no_other_one_out_of_the_history(event: str) -> None:
    @in_virtual_time
    async def talk() -> None:
        async with talking(replies=(FOUR, STORY)) as (caller, stage):
            item_id = await unheard_answer(caller, stage)
            more = {"content_index": 0, "audio_end_ms": 0} if event == "truncate" else {}
            await caller.tell({"type": f"conversation.item.{event}", "item_id": item_id, **more})
            await caller.until(f"conversation.item.{event}d")
            assert contents(stage.history()) == ["What is 2+2?", FOUR, "And tell me a story"]

    talk()


def test_speech_of_a_user_that_nobody_understood_takes_no_other_words_out_of_the_history() -> None:
    messages = [said("user", "hello"), said("assistant", "Hi.")]
    items = [spoken("user", "hello"), spoken("assistant", "Hi."), spoken("user", "")]
    assert without(messages, items[2], items) == messages


def test_each_item_is_found_by_its_own_message_and_not_by_a_newer_one_that_begins_alike() -> None:
    texts = ("yes", "Yes", "yes please", "Yes please do", "yes", "Yes")
    roles = ("user", "assistant") * 3
    messages = [said(role, text) for role, text in zip(roles, texts, strict=True)]
    items = [spoken(role, text) for role, text in zip(roles, texts, strict=True)]
    for at, item in enumerate(items):
        assert without(messages, item, items) == [*messages[:at], *messages[at + 1 :]]


def test_an_item_whose_message_is_gone_takes_no_other_one_that_begins_alike() -> None:
    items = [spoken("user", "yes"), spoken("assistant", "Fine."), spoken("user", "yes please")]
    messages = [said("assistant", "Fine."), said("user", "yes please")]
    assert without(messages, items[0], items) == messages


def test_what_a_client_wrote_is_found_by_the_very_message_and_bounds_what_was_said() -> None:
    mine = said("assistant", "Yes")
    written = Item({"id": "w", "role": "assistant", "content": [{"text": "Yes"}]}, messages=(mine,))
    items = [spoken("assistant", "Yes"), written, spoken("assistant", "Yes and no")]
    messages = [said("assistant", "Yes"), mine, InterruptedReply(said("assistant", "Yes and"))]
    assert [one is mine for one in without(messages, items[0], items)] == [True, False]
    assert without(messages, written, items) == [messages[0], messages[2]]
    # Cut already: what begins alike, behind all that is sure.
    assert cut_to(messages, items[2], items, ["Yes"], InterruptedReply) == [*messages[:2], said("assistant", "Yes")]


def test_a_message_comes_in_before_what_was_said_after_it() -> None:
    items = [spoken("user", "hello"), spoken("assistant", "Hi."), spoken("user", "")]
    messages = [said("user", "hello"), said("assistant", "Hi.")]
    new = said("developer", "Be brief.")
    assert with_inserted(messages, [new], items, items) == [new, *messages]
    assert with_inserted(messages, [new], items, items[1:]) == [messages[0], new, messages[1]]
    assert with_inserted(messages, [new], items, items[2:]) == [*messages, new]


@in_virtual_time
async def test_what_no_encoding_takes_is_cleaned_wherever_a_client_sends_text() -> None:
    async with talking(replies=(FOUR, "Five.")) as (caller, stage):
        await caller.update(output_modalities=["text"])
        await write(caller, "hello \ud800 \x00")
        call = {"type": "function_call", "call_id": "c", "name": "add", "arguments": '{"a": "\\ud800"}'}
        await caller.tell({"type": CREATE, "item": call})
        output = {"type": "function_call_output", "call_id": "c", "output": "\udfff\x07 2"}
        await caller.tell({"type": CREATE, "item": output})
        await caller.tell({"type": "response.create", "response": {"instructions": "Add \udc00\x00."}})
        done = (await caller.until("response.done"))["response"]
        await caller.tell({"type": "response.create"})
        again = (await caller.until("response.done", 2))["response"]
        history = stage.history()
    assert (done["status"], again["status"]) == ("completed", "completed")
    assert caller.named("error") == []
    assert history[0]["content"] == "hello ? "
    assert history[1]["tool_calls"][0]["function"]["arguments"] == '{"a": "?"}'
    assert history[2]["content"] == '"? 2"'
    assert stage.llm.requests[0].messages[0] == {"role": "system", "content": "Add ?."}


@in_virtual_time
async def test_a_conversation_with_calls_that_is_put_back_in_is_known_to_the_model() -> None:
    async with talking(replies=("It still snows.",)) as (caller, stage):
        await caller.update(output_modalities=["text"])
        asked = await write(caller, "How is the weather in Oslo?")
        call = {"type": "function_call", "call_id": "call_7", "name": "get_weather", "arguments": '{"city":"Oslo"}'}
        await caller.tell({"type": CREATE, "item": {**call, "id": "c"}, "previous_item_id": asked})
        await caller.tell({"type": CREATE, "item": {**call, "id": "twice"}})
        twice = (await caller.until("error"))["error"]
        # Until its result is told, nothing that a server would refuse stands in the history.
        await write(caller, "It snows.", "assistant")
        await write(caller, "And now?")
        output = {"type": "function_call_output", "call_id": "call_7", "output": "snow", "id": "o"}
        await caller.tell({"type": CREATE, "item": output, "previous_item_id": "c"})
        await caller.tell({"type": CREATE, "item": {**output, "id": "again"}})
        again = (await caller.until("error", 2))["error"]
        await caller.tell({"type": "response.create"})
        done = (await caller.until("response.done"))["response"]
        history = stage.history()
        await caller.tell({"type": "conversation.item.delete", "item_id": "c"})
        await caller.until("conversation.item.deleted")
        without_call = stage.history()
    assert [(one["param"], one["code"]) for one in (twice, again)] == [("item.call_id", "invalid_value")] * 2
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "It still snows."}]
    function = {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
    assert history == [
        said("user", "How is the weather in Oslo?"),
        {"role": "assistant", "tool_calls": [{"id": "call_7", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "call_7", "content": '"snow"'},
        said("assistant", "It snows."),
        said("user", "And now?"),
        said("assistant", "It still snows."),
    ]
    assert without_call == [history[0], *history[3:]]
    told = [one["item"] for one in caller.named("conversation.item.added") if one["item"]["id"] in ("c", "o")]
    assert [item["type"] for item in told] == ["function_call", "function_call_output"]
    # Nothing of the call is lost on a model, whether its server takes calls or is told of them in words.
    assert "snow" in str(stage.llm.requests[0].messages[:-2])


@in_virtual_time
async def test_the_items_of_a_session_and_the_history_hold_no_more_than_a_history_may() -> None:
    part = {"type": "input_text", "text": "x" * 32_000}
    n_items = MAX_CHARS // 64_000 + 3
    async with talking(replies=(FOUR,)) as (caller, stage):
        await caller.update(output_modalities=["text"])
        rules = await write(caller, "Be brief.", "system")
        for number in range(n_items):
            item = {"id": f"n{number}", "type": "message", "role": "user", "content": [part, part]}
            await caller.tell({"type": CREATE, "item": item})
        await caller.until("conversation.item.done", n_items + 1)
        for item_id in (rules, "n2", "n3"):
            await caller.tell({"type": "conversation.item.retrieve", "item_id": item_id})
        gone = (await caller.until("error"))["error"]
        await caller.until("conversation.item.retrieved", 2)
        await caller.tell({"type": "response.create"})
        await caller.until("response.done")
        history = stage.history()
    # Six of 64,000 characters have room in 400,000.
    assert [one["item"]["id"] for one in caller.named("conversation.item.retrieved")] == [rules, "n3"]
    assert gone["code"] == "item_not_found"
    assert [len(message["content"]) for message in history] == [9, *[64_001] * 6, len(FOUR)]


def test_items_are_few_and_those_of_a_system_stay_longest() -> None:
    items = Items(lambda *_, **__: None)
    for number in range(MAX_ITEMS + 2):
        role = "system" if number == 0 else "user"
        body = {"id": str(number), "type": "message", "role": role, "content": [{"text": "x"}]}
        items.add(Item(body, messages=({"role": role, "content": str(number)},)))
    left = [item.id for item in items.all()]
    assert len(left) <= MAX_ITEMS
    assert left[0] == "0"
    assert left[1:] == [str(number) for number in range(MAX_ITEMS + 3 - len(left), MAX_ITEMS + 2)]
    assert [message["content"] for message in items.take_gone()] == [
        str(number) for number in range(1, MAX_ITEMS + 3 - len(left))
    ]
    assert items.take_gone() == []
    with pytest.raises(RealtimeProblem, match="there is no item '1'"):
        items.find("1")
