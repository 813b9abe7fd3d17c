"""One open directory: plain files in it by their names, never what a link leads to.

In:  names without separators.   Out: bytes in, bytes out, atomically; an OSError says what failed.

Every step goes through the directory's descriptor where the platform has that, so that a link which is put in its
place meanwhile leads nowhere; elsewhere what was opened is compared with what was looked at.
"""

import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if os.name == "posix":
    import fcntl

HAS_DESCRIPTORS = {os.open, os.stat, os.mkdir, os.unlink, os.rename, os.link} <= os.supports_dir_fd
# What is looked through, at most, for the files there are.
MAX_ENTRIES = 10_000
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# A pipe with nobody at its other end is opened all the same, and then refused.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _NO_LINK
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK
_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_LINK


# Between two tries to have a directory for oneself.
LOCK_POLL_SECS = 0.02


class NotPlainError(OSError):
    """A name stands for no plain file, or not for it alone: a link, a folder, a device, a pipe."""


class BusyError(Exception):
    """Another program keeps the directory for itself."""


class Directory:
    """Made by `opened` and `inner`.

    Args:
        path: Where it is; no links within.
        descriptor: Of the open directory; None where the platform has none.
    """

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    @contextmanager
    def opened(cls, path: Path, until_secs: float) -> Iterator["Directory"]:
        """Open a directory, and keep other programs that ask out of it for the length of the block.

        Args:
            path: Absolute, resolved.
            until_secs: How long to wait for those that came first, as time.monotonic() counts.

        Raises:
            BusyError: They are still there then.
            OSError: There is none, or a link stands there.
        """
        if not HAS_DESCRIPTORS:
            yield cls(path, None)
            return
        descriptor = os.open(path, _DIRECTORY)
        try:
            _lock(descriptor, until_secs)
            yield cls(path, descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def inner(self, name: str) -> Iterator["Directory"]:
        """Open a directory in this one, made if it is not there.

        Raises:
            OSError: It cannot be made, or a link or a file stands there.
        """
        with suppress(FileExistsError):
            os.mkdir(self._at(name), 0o700, dir_fd=self._descriptor)
        if self._descriptor is None:
            if not stat.S_ISDIR(os.lstat(self._at(name)).st_mode) or _is_link(self._at(name)):
                raise NotPlainError(f"{name} is no folder")
            yield Directory(self._path / name, None)
            return
        descriptor = os.open(name, _DIRECTORY, dir_fd=self._descriptor)
        try:
            yield Directory(self._path / name, descriptor)
        finally:
            os.close(descriptor)

    def files(self) -> dict[str, os.stat_result]:
        """Its plain files that are not hidden, in the order of their names; links are none."""
        found: dict[str, os.stat_result] = {}
        with os.scandir(self._path if self._descriptor is None else self._descriptor) as entries:
            for index, entry in enumerate(entries):
                if index >= MAX_ENTRIES:
                    break
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if not entry.name.startswith(".") and stat.S_ISREG(status.st_mode):
                        found[entry.name] = status
        return dict(sorted(found.items(), key=lambda one: one[0].casefold()))

    def status(self, name: str) -> os.stat_result:
        """What the system knows of a name; of a link, not of what it leads to.

        Raises:
            OSError: It is not there.
        """
        return os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)

    def read(self, name: str, max_bytes: int) -> bytes:
        """What a plain file holds, up to one byte more than was asked for.

        Raises:
            NotPlainError: It is a link or anything else, or has another name, which may be in another folder.
            OSError: It is not there, or cannot be read.
        """
        before = self._plain(name)
        with os.fdopen(os.open(self._at(name), _READ, dir_fd=self._descriptor), "rb") as file:
            # Where links are followed, one may have been put there in between.
            opened = os.fstat(file.fileno())
            if not stat.S_ISREG(opened.st_mode) or not os.path.samestat(before, opened):
                raise NotPlainError(f"{name} is no plain file")
            _check_alone(name, opened)
            return file.read(max_bytes + 1)

    def write(self, name: str, content: bytes, *, new: bool) -> None:
        """Write a file whole or not at all.

        Args:
            name: Its name.
            content: All that it is to hold.
            new: Whether there must be no such file yet; else there must be one, whose rights are kept.

        Raises:
            FileExistsError: It is there, though it was to be new.
            NotPlainError: As `read` has it.
            OSError: It cannot be written, or its owner may not; then everything is as before.
        """
        mode = 0o600 if new else self._plain(name).st_mode & 0o777
        if not mode & stat.S_IWUSR:
            raise PermissionError(errno.EACCES, "it is only to be read")
        part = f".{secrets.token_hex(8)}.part"
        descriptor = os.open(self._at(part), _WRITE, mode, dir_fd=self._descriptor)
        try:
            _write_all(descriptor, content, None if new else mode)
            if new:
                self.move(part, self, name)
            else:
                os.replace(self._at(part), self._at(name), src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except BaseException:
            with suppress(OSError):
                os.unlink(self._at(part), dir_fd=self._descriptor)
            raise

    def move(self, name: str, to: "Directory", new_name: str) -> None:
        """Give a file another name; a link is moved, not what it leads to.

        Raises:
            FileExistsError: That name is taken.
            OSError: It cannot be moved.
        """
        if os.name == "nt":
            os.rename(self._at(name), to._at(new_name))
            return
        ways = {"src_dir_fd": self._descriptor, "dst_dir_fd": to._descriptor}
        try:
            os.link(self._at(name), to._at(new_name), **ways, follow_symlinks=False)
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError:
            # A file system without hard links: the name is taken first, and then filled.
            os.close(os.open(to._at(new_name), _WRITE, 0o600, dir_fd=to._descriptor))
            try:
                os.replace(self._at(name), to._at(new_name), **ways)
            except OSError:
                os.unlink(to._at(new_name), dir_fd=to._descriptor)
                raise
        else:
            os.unlink(self._at(name), dir_fd=self._descriptor)

    def check_alone(self, name: str) -> None:
        """Make sure that a plain file has no other name.

        Raises:
            NotPlainError: As `read` has it.
            OSError: It is not there.
        """
        self._plain(name)

    def _plain(self, name: str) -> os.stat_result:
        status = self.status(name)
        if not stat.S_ISREG(status.st_mode):
            raise NotPlainError(f"{name} is no plain file")
        _check_alone(name, status)
        return status

    def _at(self, name: str) -> str | Path:
        return name if self._descriptor is not None else self._path / name


def _check_alone(name: str, status: os.stat_result) -> None:
    if status.st_nlink > 1:
        raise NotPlainError(f"{name} is a file of another name, too (a hard link)")


def _lock(descriptor: int, until_secs: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until_secs:
                raise BusyError from None
        except OSError:
            # Not every network file system locks directories; threads of this program have a lock of their own.
            return
        time.sleep(LOCK_POLL_SECS)


def _write_all(descriptor: int, content: bytes, mode: int | None) -> None:
    """Write and close; where a mode is given, that of opening it was narrowed by the umask."""
    try:
        if mode is not None and hasattr(os, "fchmod"):
            os.fchmod(descriptor, mode)
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_link(path: str | Path) -> bool:
    """Whether it is a link, or a junction, which is a link of Windows' own."""
    reparse = getattr(os.lstat(path), "st_reparse_tag", 0)
    return os.path.islink(path) or reparse == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)
