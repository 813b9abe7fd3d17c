"""What Home Assistant answers, read beside the event loop: lists of thousands of states.

In:  bytes.   Out: entities, or values as JSON has them.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_NAME_CHARS = 80
_BETWEEN = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Entity:
    """One thing of the house.

    Attributes:
        id: Such as light.kitchen.
        name: As people call it.
        area: Where it is; empty where nobody said.
        state: Such as on, or 21.5.
        attributes: What else is known of it.
    """

    id: str
    name: str
    area: str
    state: str
    attributes: Mapping[str, Any]

    @property
    def domain(self) -> str:
        """What it is: light, lock."""
        return self.id.partition(".")[0]


def read_list(answer: bytes) -> list[Any]:
    """A JSON list, one after the other: a whole one of megabytes would hold up all other threads while it is read.

    Args:
        answer: UTF-8.

    Raises:
        JSONDecodeError, UnicodeDecodeError: It is no JSON.
        ValueError: It is no list.
    """
    return list(_items(answer.decode()))


def _items(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    at = len(text) - len(text.lstrip())
    if text[at : at + 1] != "[":
        json.loads(text)
        raise ValueError("no list")
    at = _end_of_space(text, at + 1)
    while text[at : at + 1] != "]":
        item, at = decoder.raw_decode(text, at)
        yield item
        at = _end_of_space(text, at)


def _end_of_space(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def entities_of(states: list[Any], areas: Mapping[str, str], may: Callable[[str], bool]) -> list[Entity]:
    """Those that may be used, in the order of their ids.

    Args:
        states: As Home Assistant lists them.
        areas: By entity.
        may: Whether one may be used, by its id.
    """
    found = [one for one in states if isinstance(one, dict) and isinstance(one.get("entity_id"), str)]
    allowed = [one for one in found if may(one["entity_id"])]
    return [_entity(one, areas.get(one["entity_id"], "")) for one in sorted(allowed, key=lambda one: one["entity_id"])]


def _entity(found: Mapping[str, Any], area: str) -> Entity:
    attributes = found.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    entity_id = found["entity_id"]
    name = str(attributes.get("friendly_name") or entity_id.partition(".")[2].replace("_", " "))
    plain = " ".join("".join(one if one.isprintable() else " " for one in name).split())
    return Entity(
        entity_id, plain[:MAX_NAME_CHARS], area[:MAX_NAME_CHARS], str(found.get("state", ""))[:80], attributes
    )


def reason(answer: bytes) -> str:
    """Why it refuses, to be put behind its status; empty where it does not say.

    Args:
        answer: JSON, or anything else.
    """
    try:
        message = json.loads(answer).get("message")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return f": {' '.join(str(message).split())[:120]}" if message else ""
