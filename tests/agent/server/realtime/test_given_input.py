"""What a response of no conversation may be given: as much as is bounded, and no work beyond it."""

from typing import Any

import pytest

from agent.server.realtime.given_input import MAX_INPUT_CHARS, messages_of
from agent.server.realtime.items import MAX_ITEMS, Item, Items
from agent.server.realtime.problems import RealtimeProblem


class CountedItem(Item):
    """Counts how often anybody looks at its id or its words."""

    n_ids = n_texts = 0

    @property
    def id(self) -> str:
        CountedItem.n_ids += 1
        return str(self.body["id"])

    @property
    def text(self) -> str:
        CountedItem.n_texts += 1
        return super().text


def items_of(count: int, text: str) -> Items:
    items = Items(lambda _, **fields: None)
    for number in range(count):
        content = [{"type": "input_text", "text": text}]
        items.add(
            CountedItem({"id": f"item_{number}", "type": "message", "role": "user", "content": content}), done=False
        )
    CountedItem.n_ids = CountedItem.n_texts = 0
    return items


def references(*numbers: int) -> list[dict[str, Any]]:
    return [{"type": "item_reference", "id": f"item_{number}"} for number in numbers]


def test_as_many_references_as_there_may_be_are_looked_up_at_once() -> None:
    items = items_of(MAX_ITEMS, "a")
    messages = messages_of(references(*range(MAX_ITEMS)), items)
    assert len(messages) == MAX_ITEMS
    assert CountedItem.n_ids <= 2 * MAX_ITEMS


def test_what_is_too_long_is_refused_before_the_rest_of_it_is_gathered() -> None:
    text = "a" * 60_000
    items = items_of(1, text)
    with pytest.raises(RealtimeProblem, match=f"at most {MAX_INPUT_CHARS} characters") as refused:
        messages_of(references(*[0] * 2_000), items)
    assert (refused.value.code, refused.value.param) == ("input_too_long", "response.input")
    assert CountedItem.n_texts == MAX_INPUT_CHARS // len(text) + 1
    assert [one["content"] for one in messages_of(references(*[0] * 6), items)] == [text] * 6


def test_a_reference_to_no_item_is_refused_by_its_place() -> None:
    with pytest.raises(RealtimeProblem, match="there is no item 'item_7'") as refused:
        messages_of(references(0, 7), items_of(1, "a"))
    assert (refused.value.code, refused.value.param) == ("item_not_found", "response.input[1].id")
