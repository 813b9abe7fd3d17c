"""What a program holds: tasks, threads, descriptors, child processes, histories, and objects of every kind."""

import asyncio
import gc
import os
import threading
import types
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy.ma  # noqa: F401 - loaded by others when they first need it
import psutil

# Whose objects are a call's, and would be left by every call that leaks; caches of all others fill up slowly, and a
# loop keeps a hundred timers that were cancelled.
OF_CALLS = ("agent.", "processors.", "transports.", "pipecat.", "openai.", "httpx.", "httpcore.")
SLACK_OF_CALLS, SLACK = 5, 200


@dataclass(frozen=True)
class Holding:
    """What is held at one moment, when no call goes on.

    Attributes:
        objects: How many of each type, of those that the collector knows.
    """

    n_tasks: int
    n_threads: int
    thread_names: tuple[str, ...]
    n_descriptors: int
    n_children: int
    n_histories: int
    objects: Counter[str]


def holding(n_histories: int) -> Holding:
    """What is held now.

    Args:
        n_histories: How many the server remembers.
    """
    for _ in range(2):
        gc.collect()
    process = psutil.Process()
    objects = Counter(
        f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects() if not _is_about_a_class(one)
    )
    return Holding(
        n_tasks=len(asyncio.all_tasks()),
        n_threads=threading.active_count(),
        thread_names=tuple(sorted(thread.name for thread in threading.enumerate())),
        n_descriptors=len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
        n_children=len(process.children()),
        n_histories=n_histories,
        objects=objects,
    )


def _is_about_a_class(one: object) -> bool:
    """Whether it is an abstract class's note of a class that it was asked about: there is one for each two of them.

    A note is a weak reference to the class, with a built-in function bound to a weak reference to the notes, which
    takes it out again (CPython, Modules/_abc.c).
    """
    # By `type`, for `isinstance` asks a lazy proxy for its class, which then loads its library.
    if type(one) is types.BuiltinFunctionType:
        return type(one.__self__) is weakref.ReferenceType
    return type(one) is weakref.ReferenceType and issubclass(type(one()), type)


def grown(before: Holding, after: Holding) -> Iterator[str]:
    """What is held after an hour that was not held before it."""
    for name in ("n_tasks", "n_threads", "n_descriptors", "n_children", "n_histories"):
        was, now = getattr(before, name), getattr(after, name)
        if now > was:
            named = f" ({', '.join(after.thread_names)})" if name == "n_threads" else ""
            yield f"{name.removeprefix('n_')}: {was} before, {now} after{named}"
    for kind, now in after.objects.items():
        was = before.objects[kind]
        if now > was + (SLACK_OF_CALLS if kind.startswith(OF_CALLS) else SLACK):
            yield f"objects of {kind}: {was} before, {now} after"
