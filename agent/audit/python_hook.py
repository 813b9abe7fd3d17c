"""Runs inside a Python program under audit, before anything of its own: notes files opened to write, names, addresses.

In:  the interpreter's audit events.   Out: one JSON line a note: kind, subject, thread, command line, stack.

Loaded by a `sitecustomize` on the program's path, also in the Python processes that it starts. Imports nothing of the
house. Sees what Python code does; what a native library does by itself goes past it.
"""

import json
import os
import sys
import threading
from types import FrameType
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# By event: the argument that is the path.
_PATH_ARGUMENTS = {"os.mkdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1, "os.truncate": 0}
_MAX_FRAMES = 40


def install(notes: str) -> None:
    """Note down from now on, for the life of this process.

    Args:
        notes: A folder; each process writes a file of its own there.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    own: dict[int, int] = {}  # file by process: a fork gets its own
    busy = threading.local()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        seen = _seen(event, arguments)
        if seen is None or getattr(busy, "now", False):
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
                "stack": _stack(sys._getframe(1)),
            }
            os.write(own[process], json.dumps(note).encode() + b"\n")
        finally:
            busy.now = False

    sys.addaudithook(hook)


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
