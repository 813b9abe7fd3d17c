"""Counts what objects keep, so that a test can say that none of it grows with the time."""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sized
from typing import Any

# Whose objects are looked into; of others it is not known what a test could do about them.
LOOKED_INTO = ("agent.", "processors.", "transports.", "pipecat.")
ATOMS = (str, bytes, int, float, bool, type(None))


def n_kept(*objects: object) -> int:
    """How many entries all attributes of these objects have together that are containers or texts."""
    return sum(len(value) for one in objects for value in vars(one).values() if isinstance(value, Sized))


def kept_within(root: object) -> Counter[str]:
    """How much is kept in all that an object leads to, by `Class.attribute`: entries, and characters of texts.

    A deque that has a greatest length is taken for empty.
    """
    found: Counter[str] = Counter()
    seen: dict[int, object] = {id(root): root}
    waiting: list[tuple[str, object]] = [(type(root).__name__, root)]
    while waiting:
        name, one = waiting.pop()
        if isinstance(one, deque) and one.maxlen is not None:
            continue
        if isinstance(one, Collection) and isinstance(one, str | bytes | bytearray | list | tuple | set | dict | deque):
            found[name] += len(one)
        for child_name, child in _children(name, one):
            # What is bound to a method is kept by it.
            child = getattr(child, "__self__", child)
            if not isinstance(child, int | float | None) and id(child) not in seen:
                seen[id(child)] = child
                waiting.append((child_name, child))
    return found


def _children(name: str, one: Any) -> Iterator[tuple[str, object]]:
    if isinstance(one, dict):
        yield from ((name, child) for entry in one.items() for child in entry)
    elif isinstance(one, list | tuple | set | frozenset | deque):
        yield from ((name, child) for child in one)
    elif isinstance(one, asyncio.Queue):
        yield f"{name}.queue", list(one._queue)  # pyright: ignore[reportAttributeAccessIssue]
    elif type(one).__module__.startswith(LOOKED_INTO):
        yield from ((f"{type(one).__name__}.{attribute}", child) for attribute, child in _attributes(one))


def _attributes(one: Any) -> Iterator[tuple[str, object]]:
    yield from getattr(one, "__dict__", {}).items()
    for kind in type(one).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if hasattr(one, slot):
                yield slot, getattr(one, slot)
