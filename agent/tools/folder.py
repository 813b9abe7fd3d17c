"""The agent's folder: text files side by side, and a bin for those that are no longer wanted.

In:  names and text.   Out: what was done, with what undoes it; a ToolError says what hindered it.

Nothing is overwritten and nothing deleted: what is taken away lies in `.bin`, under its name with the time before it.
All of it blocks, one thread at a time in one folder.
"""

import errno
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.tools.clock import Now, local_now
from agent.tools.directory import BusyError, Directory, NotPlainError
from agent.tools.file_checks import check
from agent.tools.file_names import caseless
from agent.tools.file_search import check_is_new, closest
from agent.tools.tool import ToolError

MAX_FILE_BYTES = 1_000_000
MAX_FILES = 1_000
MAX_BINNED = 1_000
BIN = ".bin"
# A tool's limit is longer: what it reports as failed is not done afterwards.
BUSY_SECS = 5.0
BUSY = "the folder is busy, another program or conversation uses it; nothing was done, try again"
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_BINNED = re.compile(r"\d{8}-\d{6}-\d{6} (?P<name>.+)", re.DOTALL)
# Whichever conversation it is: what one reads to add to, the other does not change meanwhile. By resolved paths.
_one_at_a_time: dict[str, threading.Lock] = {}
# Until when a caller waits for its turn, as time.monotonic() counts; after that nothing is done.
waits_until_secs: ContextVar[float] = ContextVar("waits_until_secs")
# What tells two states of a file apart: size, when it was changed if that counts, digest.
Mark = tuple[int, int, bytes]


@dataclass(frozen=True)
class Change:
    """What was done.

    Attributes:
        name: Of the file, as it is called now.
        n_bytes: How much it holds.
        undo: Takes it back; blocks, and raises a ToolError where it was changed since.
    """

    name: str
    n_bytes: int
    undo: Callable[[], None]


@dataclass(frozen=True)
class Listed:
    """A file that there is: its name, size in bytes, and when it was changed, as local time."""

    name: str
    n_bytes: int
    changed: datetime


class Folder:
    """One folder of the user's.

    Args:
        path: Where it is; made when it is needed.
        now: Gives the local time, with its zone.
    """

    def __init__(self, path: Path, now: Now = local_now) -> None:
        self._path = path.expanduser().absolute()
        self._now = now

    def files(self) -> list[Listed]:
        """All files, by their names."""
        with self._opened("the files") as folder:
            return [
                Listed(name, status.st_size, datetime.fromtimestamp(status.st_mtime).astimezone())
                for name, status in folder.files().items()
            ]

    def read(self, said: str) -> tuple[str, str]:
        """A file's name as it stands, and its text.

        Args:
            said: Its name, nearly: letters may be small or large, and the ending left out.
        """
        with self._opened(said) as folder:
            name = _find(folder, said)
            return name, _text(name, _content(folder, name))

    def create(self, name: str, text: str) -> Change:
        """Write a new file.

        Args:
            name: A clean one.
            text: What it is to hold; it gets a last line end.
        """
        content = _encoded(text)
        _check_size(name, content)
        check(name, content)
        with self._opened(name, "written") as folder:
            there = folder.files()
            check_is_new(there, name)
            if len(there) >= MAX_FILES:
                raise ToolError(f"{name} was not written: the folder holds {MAX_FILES} files, which is all it may")
            folder.write(name, content, new=True)
        return Change(name, len(content), lambda: self._take_back(name, _mark_of(content)))

    def append(self, said: str, text: str) -> Change:
        """Add to the end of a file, on a line of its own.

        Args:
            said: Its name, nearly.
            text: What is added; it gets a last line end.
        """
        with self._opened(said, "written") as folder:
            name = _find(folder, said)
            old = _content(folder, name)
            _text(name, old)
            content = old + (b"\n" if old and not old.endswith(b"\n") else b"") + _encoded(text)
            _check_size(name, content)
            check(name, content)
            folder.write(name, content, new=False)
        return Change(name, len(content), lambda: self._shorten(name, _mark_of(content), old))

    def rename(self, said: str, new_name: str) -> Change:
        """Give a file another name, which no file may have.

        Args:
            said: Its name, nearly.
            new_name: A clean one.
        """
        with self._opened(said, "renamed") as folder:
            name = _find(folder, said)
            check_is_new([other for other in folder.files() if other != name], new_name)
            content = _content(folder, name)
            # What is checked as it is written is checked as it is renamed, too.
            check(new_name, content)
            _move(folder, name, folder, new_name)
        return Change(new_name, len(content), lambda: self._rename_back(new_name, _mark_of(content), name))

    def bin(self, said: str) -> Change:
        """Move a file to the bin.

        Args:
            said: Its name, nearly.
        """
        with self._opened(said, "moved") as folder:
            name = _find(folder, said)
            folder.check_alone(name)
            n_bytes = folder.files()[name].st_size
            binned = self._bin(folder, name)
        return Change(name, n_bytes, lambda: self._out_of_bin(binned))

    def restore(self, said: str) -> Change:
        """Take the newest file of that name out of the bin.

        Args:
            said: Its name, nearly.
        """
        with self._opened(said, "moved") as folder, folder.inner(BIN) as inner:
            binned = inner.files()
            names = {found["name"]: one for one in sorted(binned) if (found := _BINNED.fullmatch(one))}
            name = closest(list(names), said, "in the bin")
            n_bytes = binned[names[name]].st_size
            check_is_new(folder.files(), name)
            mark = _mark(inner, names[name])
            inner.move(names[name], folder, name)
        return Change(name, n_bytes, lambda: self._take_back(name, mark))

    def _bin(self, folder: Directory, name: str) -> str:
        with folder.inner(BIN) as inner:
            if len(inner.files()) >= MAX_BINNED:
                raise ToolError(f"the bin holds {MAX_BINNED} files, which is all it may; the user has to empty {BIN}")
            binned = f"{self._now():%Y%m%d-%H%M%S-%f} {name}"
            folder.move(name, inner, binned)
        return binned

    def _out_of_bin(self, binned: str) -> None:
        name = _BINNED.fullmatch(binned)
        with self._opened(binned, "moved") as folder, folder.inner(BIN) as inner:
            inner.move(binned, folder, name["name"] if name else binned)

    def _take_back(self, name: str, mark: Mark) -> None:
        with self._opened(name, "moved") as folder:
            _check_unchanged(folder, name, mark)
            self._bin(folder, name)

    def _shorten(self, name: str, mark: Mark, old: bytes) -> None:
        with self._opened(name, "written") as folder:
            _check_unchanged(folder, name, mark)
            folder.write(name, old, new=False)

    def _rename_back(self, name: str, mark: Mark, old_name: str) -> None:
        with self._opened(name, "renamed") as folder:
            _check_unchanged(folder, name, mark)
            check_is_new([other for other in folder.files() if other != name], old_name)
            _move(folder, name, folder, old_name)

    @contextmanager
    def _opened(self, what: str, done: str = "read") -> Iterator[Directory]:
        """The folder, for one thread alone; what fails within is told.

        Args:
            what: Is dealt with.
            done: What happens to it.
        """
        until_secs = waits_until_secs.get(time.monotonic() + BUSY_SECS)
        path = os.path.realpath(self._path)
        lock = _one_at_a_time.setdefault(path, threading.Lock())
        if not lock.acquire(timeout=max(0.0, until_secs - time.monotonic())):
            raise ToolError(BUSY)
        try:
            if time.monotonic() > until_secs:
                raise BusyError
            self._path.mkdir(parents=True, exist_ok=True)
            with Directory.opened(Path(path), until_secs) as folder:
                yield folder
        except BusyError:
            raise ToolError(BUSY) from None
        except FileExistsError:
            raise ToolError(f"{what} was not {done}: there is a file of that name now") from None
        except FileNotFoundError:
            raise ToolError(f"{what} was not {done}: it is no longer there") from None
        except NotPlainError as error:
            raise ToolError(f"{what} was not {done}: {error}, and links are not followed") from None
        except OSError as error:
            why = "the disk is full" if error.errno in _FULL else f"{error.strerror or error}"
            raise ToolError(f"{what} was not {done}: {why}; nothing was changed") from error
        finally:
            lock.release()


def _move(folder: Directory, name: str, to: Directory, new_name: str) -> None:
    if caseless(name) != caseless(new_name):
        folder.move(name, to, new_name)
        return
    # Where small and large letters, or two codings of an accent, are one, the new name is taken by the file itself.
    between = f".{new_name}.part"
    folder.move(name, to, between)
    to.move(between, to, new_name)


def _find(folder: Directory, said: str) -> str:
    return closest(list(folder.files()), said, "in the folder")


def _mark_of(content: bytes) -> Mark:
    return len(content), 0, hashlib.sha256(content).digest()


def _mark(folder: Directory, name: str) -> Mark:
    content = folder.read(name, MAX_FILE_BYTES)
    if len(content) <= MAX_FILE_BYTES:
        return _mark_of(content)
    # Too large to be read whole.
    status = folder.status(name)
    return status.st_size, status.st_mtime_ns, hashlib.sha256(content).digest()


def _check_unchanged(folder: Directory, name: str, mark: Mark) -> None:
    if _mark(folder, name) != mark:
        raise ToolError(f"{name} was changed since; it is left as it is")


def _check_size(name: str, content: bytes) -> None:
    if len(content) > MAX_FILE_BYTES:
        raise ToolError(f"{name} was not written: it would be larger than {MAX_FILE_BYTES // 1_000_000} MB")


def _content(folder: Directory, name: str) -> bytes:
    content = folder.read(name, MAX_FILE_BYTES)
    if len(content) > MAX_FILE_BYTES:
        raise ToolError(f"{name} is larger than {MAX_FILE_BYTES // 1_000_000} MB")
    return content


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ToolError(f"{name} is no text in UTF-8") from None


def _encoded(text: str) -> bytes:
    try:
        content = text.encode()
    except UnicodeEncodeError:
        raise ToolError("the text holds half a character") from None
    return content if content.endswith(b"\n") or not content else content + b"\n"
