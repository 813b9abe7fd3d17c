"""The source that reads files which are on this machine already: a hard link where that can be, else a copy.

In:  where some tool keeps files.   Out: the same bytes in our directory. Nothing of the other tool's is moved or
written to: a link is a second name for its file, and taking ours away leaves theirs.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.models.sources.file import (
    HASH_PIECE_BYTES,
    Digest,
    ModelFile,
    Progress,
    WrongContentError,
    copy_path,
    hash_file,
    publish,
)
from agent.models.sources.source import SourceError

# Paths that may hold a file, likeliest first, and the folder that each must lie in once links are followed.
Finder = Callable[[ModelFile], Iterator[tuple[Path, Path]]]


@dataclass(frozen=True)
class OnDisk:
    """Files that something else has put on this machine.

    Attributes:
        name: For people, such as "Ollama's models".
        find: Where a file may lie.
        may_link: Whether its owner never writes into a finished file, so that a second name for it is safe.
    """

    name: str
    find: Finder
    may_link: bool
    is_remote: bool = False

    def origin(self, file: ModelFile) -> str | None:
        """The name, where a file of the right size lies."""
        return self.name if any(_is_candidate(path, file) for path, _ in self.find(file)) else None

    def fetch(self, file: ModelFile, directory: Path, progress: Progress) -> None:
        """Link or copy the first candidate whose checksum is right.

        Raises:
            SourceError: None is; the message says what is wrong with the last.
            OSError: The disk.
        """
        reason = f"{self.name} has no such file"
        for path, folder in self.find(file):
            if not _is_candidate(path, file):
                continue
            try:
                take(_within(path, folder), file, directory, progress, may_link=self.may_link)
            except (SourceError, WrongContentError) as error:
                reason = f"{path} in {self.name} is not used ({error})"
            else:
                return
        raise SourceError(reason)


def take(path: Path, file: ModelFile, directory: Path, progress: Progress, *, may_link: bool) -> None:
    """Link or copy one file to its place, if it is the file.

    Args:
        path: No link, but the file itself.
        file: What it must be.
        directory: Its place.
        progress: Told of the bytes that are checked.
        may_link: Whether a second name for the same bytes will do.

    Raises:
        SourceError: It changed meanwhile.
        WrongContentError: It is another file.
        OSError: It cannot be read, or ours cannot be written.
    """
    grown = copy_path(directory, file)
    grown.unlink(missing_ok=True)  # a link of an earlier try must not be written through
    before = path.lstat()
    if not stat.S_ISREG(before.st_mode):
        raise SourceError("it is no plain file")
    try:
        if may_link and _linked(path, grown):
            digest: Digest = hash_file(grown, lambda done: progress(file, done))
        else:
            digest = _copy(path, grown, file, progress)
        if _identity(before) != _identity(path.lstat()):
            raise SourceError("it changed while it was read")
        publish(grown, digest, file, directory)
    finally:
        grown.unlink(missing_ok=True)


def _is_candidate(path: Path, file: ModelFile) -> bool:
    try:
        return path.is_file() and path.stat().st_size == file.size_bytes
    except OSError:  # another user's folder
        return False


def _within(path: Path, folder: Path) -> Path:
    """The file that a path leads to, which must lie in its folder."""
    found = path.resolve()
    if not found.is_relative_to(folder.resolve()):
        raise SourceError("it leads elsewhere")
    return found


def _linked(path: Path, target: Path) -> bool:
    try:
        os.link(path, target)
    except OSError:  # another disk, another user's file, or a disk without links
        return False
    return True


def _copy(path: Path, target: Path, file: ModelFile, progress: Progress) -> Digest:
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as source, target.open("xb") as copy:
        while piece := source.read(HASH_PIECE_BYTES):
            done += len(piece)
            if done > file.size_bytes:
                raise SourceError("it changed while it was read")
            copy.write(piece)
            digest.update(piece)
            progress(file, done)
    return digest


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
