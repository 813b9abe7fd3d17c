"""Runs inside a Python program under audit, before anything of its own: notes files opened to write, names, addresses,
and environment variables that could lead out.

In:  the interpreter's audit events, and reads of `os.environ`.
Out: one JSON line a note: kind, subject, thread, command line, stack; of a variable also the run of reads that it was
read in, and whether its reader names it; and one line for each run that turned out to go through all variables.

Loaded by a `sitecustomize` on the program's path, also in the Python processes that it starts. Imports nothing of the
house. Sees what Python code does; what a native library does by itself goes past it.
"""

import itertools
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# By event: the argument that is the path.
_PATH_ARGUMENTS = {"os.mkdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1, "os.truncate": 0}
# Names that tell a library where to call, what to report, or with which key.
_LEADS_OUT = re.compile(
    r"proxy|telemetry|trac(?:e|k|ing)|analytics|sentry|otel|wandb|metrics|usage|report|update|dsn|endpoint|url|uri|host"
    r"|api_key|access_key|token|secret|credential|cert|offline",
    re.IGNORECASE,
)
_MAX_FRAMES = 40
# Whoever reads so many of the variables that are set, one after the other at one place, reads all of them.
_MOST_OF_THEM = 0.5
_MIN_OF_THEM = 4
_MIN_AFFIX = 3  # characters


def install(notes: str) -> None:
    """Note down from now on, for the life of this process.

    Args:
        notes: A folder; each process writes a file of its own there.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    own: dict[int, int] = {}  # file by process: a fork gets its own
    busy = threading.local()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if (seen := _seen(event, arguments)) is not None:
            note_down(seen, sys._getframe(1))

    def note_down(seen: tuple[str, str], frame: FrameType, **more: Any) -> None:
        if getattr(busy, "now", False):
            return
        busy.now = True
        try:
            process = os.getpid()
            if process not in own:
                own[process] = os.open(os.path.join(notes, f"hook.{process}.jsonl"), flags, 0o600)
            note = {
                "kind": seen[0],
                "subject": seen[1],
                "thread": threading.get_native_id(),
                "process": " ".join(sys.orig_argv),
                "stack": _stack(frame),
                **more,
            }
            os.write(own[process], json.dumps(note).encode() + b"\n")
        finally:
            busy.now = False

    _watch_environment(note_down)
    sys.addaudithook(hook)


class _Run:
    """Reads of variables at one place of one frame, with none elsewhere between."""

    # A program that starts another in its place keeps its file.
    numbers = itertools.count(time.time_ns())

    def __init__(self) -> None:
        self.number = next(self.numbers)
        self.names: set[str] = set()
        self.is_of_all = False


class _Reads(threading.local):
    """The reads of a thread: runs by place, of the frame that reads now."""

    frame = 0
    runs: dict[tuple[int | None, ...], _Run]

    def run_of(self, frame: FrameType) -> _Run:
        if id(frame) != self.frame:
            self.frame, self.runs = id(frame), {}
        return self.runs.setdefault(_place(frame), _Run())


def _place(frame: FrameType) -> tuple[int | None, ...]:
    """Lines and columns of what a frame is doing; an instruction that the interpreter has made faster keeps them."""
    return next(itertools.islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), (frame.f_lineno,))


def _watch_environment(note_down: Callable[..., None]) -> None:
    """Have each variable that could lead out told when Python code reads it; a native library's reads go past it.

    A copy of all variables (`dict(os.environ)`) is seen as reads of each of them: notes of such a run do not count,
    but for names that the reader's own code names, in whole or by how they begin or end. So whoever goes through all
    of them in search of `*_PROXY` means those.
    """
    kind: Any = type(os.environ)
    plain = kind.__getitem__
    reads = _Reads()

    def read(self: Any, name: str | bytes) -> Any:
        text = os.fsdecode(name) if isinstance(name, str | bytes) else ""
        reader = _reader(sys._getframe(1))
        run = reads.run_of(reader)
        if text and _LEADS_OUT.search(text):
            is_named = _is_named(text, reader.f_code)
            if is_named or not run.is_of_all:
                note_down(("variable", text), reader, run=run.number, named=is_named)
        value = plain(self, name)
        run.names.add(text)
        if not run.is_of_all and len(run.names) >= max(_MIN_OF_THEM, _MOST_OF_THEM * len(os.environ)):
            run.is_of_all = True
            note_down(("all variables", ""), reader, run=run.number)
        return value

    kind.__getitem__ = read


def _reader(frame: FrameType) -> FrameType:
    """Who reads, behind the standard library's ways to read (`os.getenv`, `os.environ.get`, `.items()`)."""
    while frame.f_back and (frame.f_code.co_filename == os.__file__ or "_collections_abc" in frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def _is_named(name: str, code: CodeType) -> bool:
    """Whether constants of the code hold the name, `PREFIX` that it begins with, or `_suffix` that it ends with."""
    for text in _texts(code.co_consts):
        if text == name:
            return True
        if len(text) >= _MIN_AFFIX:
            if text == text.upper() and name.startswith(text):
                return True
            if text.startswith("_") and name.lower().endswith(text.lower()):
                return True
    return False


def _texts(constants: Iterable[Any]) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, str | bytes):
            yield os.fsdecode(constant)
        elif isinstance(constant, tuple | frozenset):
            yield from _texts(constant)


def _seen(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
    if event == "open":
        path, _, how = arguments
        return ("file", _absolute(path)) if how & _WRITES and not isinstance(path, int) else None
    if event in _PATH_ARGUMENTS:
        path = arguments[_PATH_ARGUMENTS[event]]
        return None if isinstance(path, int) else ("file", _absolute(path))
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        name = arguments[0]
        return ("look-up", name.decode() if isinstance(name, bytes) else str(name)) if name else None
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if isinstance(address, tuple):
            host = str(address[0])
            return "connection", f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
    return None


def _absolute(path: Any) -> str:
    return os.path.abspath(os.fsdecode(path))


def _stack(frame: FrameType | None) -> list[str]:
    frames: list[str] = []
    while frame is not None and len(frames) < _MAX_FRAMES:
        code = frame.f_code
        frames.append(f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}")
        frame = frame.f_back
    return frames
