"""What is remembered as JSON lines, for people and programs.

In:  items.   Out: one JSON object a line.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime

from agent.memory.item import Item


def shown(item: Item) -> dict[str, object]:
    """An item as JSON values, without its owner.

    Args:
        item: Any.
    """
    return {
        "number": item.number,
        "date": datetime.fromtimestamp(item.said_secs).astimezone().isoformat(timespec="seconds"),
        "kind": item.kind,
        "text": item.text,
    }


def json_lines(items: Iterable[Item], *, with_owner: bool = False) -> Iterator[str]:
    """Lines, each with its end.

    Args:
        items: Any.
        with_owner: Whether each says whose it is.
    """
    for item in items:
        where = {"conversation": item.conversation, "turn": item.turn} if item.turn else {}
        owner = {"owner": item.owner} if with_owner else {}
        yield json.dumps({**shown(item), **where, **owner}, ensure_ascii=False) + "\n"
