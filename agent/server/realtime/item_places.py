"""Where items stand in the history: each by its own message, or by its words between those of its neighbours.

In:  the history's messages, the items in order.   Out: the history without one, with one more, with one cut.

What a client wrote is found by the very message. What was said is found by its order: items and messages that tell the
same, as a comparison of two texts finds equal lines; of those between, the one that begins alike. What has no words
stands nowhere.
"""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, cast

from agent.server.realtime.items import Item

Messages = list[Any]
# A message itself, by its identity, or a role and words.
Key = int | tuple[str, str]


def without(messages: Messages, item: Item, items: Sequence[Item]) -> Messages:
    """A history without what an item says; unchanged where that is not found.

    Args:
        messages: The history.
        item: Of either side.
        items: All, in order.
    """
    if item.messages:
        return without_messages(messages, item.messages)
    at = _place_of(messages, item, items)
    return messages if at is None else [*messages[:at], *messages[at + 1 :]]


def without_messages(messages: Messages, gone: Sequence[Any]) -> Messages:
    """A history without these very messages."""
    ids = {id(message) for message in gone}
    return [message for message in messages if id(message) not in ids]


def with_inserted(messages: Messages, new: Sequence[Any], items: Sequence[Item], following: Sequence[Item]) -> Messages:
    """A history with a client's messages before those of the items that follow.

    Args:
        messages: The history.
        new: Those that come in.
        items: All, in order.
        following: Those of them that follow; where none stands in the history, the end is meant.
    """
    places = _Places(messages, items) if following else None
    found = (places.sure(one) for one in following) if places else ()
    at = next((place for place in found if place is not None), len(messages))
    return [*messages[:at], *new, *messages[at:]]


def cut_to(
    messages: Messages,
    item: Item,
    items: Sequence[Item],
    heard: Sequence[str],
    as_cut: type[dict[str, Any]],
    *,
    may_grow: bool = False,
) -> Messages:
    """A history in which of an answer stands what was heard of it.

    Args:
        messages: The history.
        item: The answer.
        items: All, in order.
        heard: Its words.
        as_cut: What marks a message as cut off.
        may_grow: Whether more may have been heard than stands there.
    """
    at = _place_of(messages, item, items)
    if at is None:
        is_new = may_grow and heard and _key_of_item(item) is None
        new = as_cut(role="assistant", content=" ".join(heard))
        return with_inserted(messages, [new], items, items[items.index(item) + 1 :]) if is_new else messages
    words = str(messages[at].get("content")).split()
    # What was said may stand there together with something else.
    grows = may_grow and len(heard) > len(words) and list(heard[: len(words)]) == words
    if len(heard) >= len(words) and not grows:
        return messages
    left = heard if grows else words[: len(heard)]
    kept = [as_cut(messages[at], content=" ".join(left))] if heard else []
    return [*messages[:at], *kept, *messages[at + 1 :]]


def _place_of(messages: Messages, item: Item, items: Sequence[Item]) -> int | None:
    if _key_of_item(item) is None:
        return None
    places = _Places(messages, items)
    sure = places.sure(item)
    return places.between(item) if sure is None else sure


class _Places:
    """Items beside messages, in order."""

    def __init__(self, messages: Messages, items: Sequence[Item]) -> None:
        own = {id(message) for item in items for message in item.messages}
        told = [(at, key) for at, one in enumerate(messages) if (key := _key_of_message(one, own)) is not None]
        self._told = told
        self._items = [item for item in items if _key_of_item(item) is not None]
        matcher = SequenceMatcher(None, [key for _, key in told], [_key_of_item(item) for item in self._items])
        self._sure = {
            block.b + step: block.a + step for block in matcher.get_matching_blocks() for step in range(block.size)
        }

    def sure(self, item: Item) -> int | None:
        """Where its message stands, if that tells the same."""
        at = self._sure.get(self._items.index(item)) if item in self._items else None
        return None if at is None else self._told[at][0]

    def between(self, item: Item) -> int | None:
        """Where a message stands that begins alike: one of the two may be cut, or joined with another."""
        index = self._items.index(item)
        first = max((at for one, at in self._sure.items() if one < index), default=-1) + 1
        after = min((one for one in self._sure if one > index), default=len(self._items))
        end = self._sure.get(after, len(self._told))
        for one in reversed(self._items[index:after]):
            alike = (at for at in range(end - 1, first - 1, -1) if _begin_alike(_key_of_item(one), self._told[at][1]))
            found = next(alike, None)
            if one is item:
                return None if found is None else self._told[found][0]
            end = end if found is None else found
        return None


def _key_of_item(item: Item) -> Key | None:
    if item.messages:
        return id(item.messages[0])
    words = " ".join(item.text.split())
    return (str(item.body.get("role")), words) if words else None


def _key_of_message(message: object, own: set[int]) -> Key | None:
    if id(message) in own:
        return id(message)
    if not isinstance(message, Mapping) or message.get("tool_calls"):
        return None
    told = cast(Mapping[str, Any], message)
    words = " ".join(str(told.get("content") or "").split())
    return (str(told.get("role")), words) if words else None


def _begin_alike(one: Key | None, other: Key) -> bool:
    if not isinstance(one, tuple) or not isinstance(other, tuple) or one[0] != other[0]:
        return False
    shorter, longer = sorted((one[1].split(), other[1].split()), key=len)
    return longer[: len(shorter)] == shorter
