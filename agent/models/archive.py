"""Unpacking a model that comes as one archive.

In:  a tar.bz2 archive whose checksum is right, the files wanted of it.   Out: those files in a directory.

Nothing is trusted but the bytes of the wanted files: no name, mode, link or time of the archive reaches the disk,
and neither a file nor the whole may be larger than the catalogue says. Each file grows as `NAME.unpacking`; all
take their names only when the last one is whole, so that a model is never there by half.
"""

import bz2
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from agent.models.catalogue import ARCHIVE_SUFFIX, Member

OTHERS_BYTES = 64 * 1024 * 1024  # what the files that are not wanted may take, unpacked: a README, sample recordings

_PIECE_BYTES = 1024 * 1024

Unpacked = Callable[[int], None]


class ArchiveError(Exception):
    """An archive is not what it should be; the message is what comes after its name in a sentence."""


def unpack(archive: Path, members: Sequence[Member], directory: Path, unpacked: Unpacked) -> None:
    """Put the wanted files of an archive into a directory: all of them, or none.

    Args:
        archive: `X.tar.bz2`; the files are taken from its directory `X`.
        members: What is wanted; all else is passed over.
        directory: Where they go; files of the same name are replaced.
        unpacked: Called with the bytes written so far, of all files, after every piece.

    Raises:
        ArchiveError: It is cut off, damaged or too large, lacks a file, or holds what no such archive should.
        OSError: A file cannot be read or written.
    """
    try:
        _write(archive, members, directory, unpacked)
        for member in members:
            os.replace(_growing(directory, member), directory / member.name)
    finally:
        discard_unpacking(members, directory)


def discard_unpacking(members: Sequence[Member], directory: Path) -> None:
    """Remove what an unpacking that was killed has left."""
    for member in members:
        _growing(directory, member).unlink(missing_ok=True)


def _growing(directory: Path, member: Member) -> Path:
    return directory / f"{member.name}.unpacking"


def _write(archive: Path, members: Sequence[Member], directory: Path, unpacked: Unpacked) -> None:
    root = archive.name.removesuffix(ARCHIVE_SUFFIX)
    awaited = {PurePosixPath(root, member.name): member for member in members}
    limit_bytes = sum(member.size_bytes for member in members) + OTHERS_BYTES
    done_bytes = 0
    try:
        with _Content(archive, limit_bytes) as content, tarfile.open(fileobj=content, mode="r|") as tar:
            for entry in tar:
                member = awaited.pop(_safe_path(entry), None)
                if member is not None:
                    source = _opened(tar, entry, member)
                    done_bytes = _copy(source, _growing(directory, member), done_bytes, unpacked)
    except (tarfile.TarError, ValueError) as error:  # ValueError: a malformed sparse header
        raise ArchiveError(f"is damaged ({error})") from error
    if awaited:
        raise ArchiveError(f"lacks {', '.join(map(str, awaited))}")


def _safe_path(entry: tarfile.TarInfo) -> PurePosixPath:
    path = PurePosixPath(entry.name)
    if path.is_absolute() or ".." in path.parts:
        raise ArchiveError(f"holds {entry.name!r}, which leads out of it")
    return path


def _opened(tar: tarfile.TarFile, entry: tarfile.TarInfo, member: Member) -> IO[bytes]:
    source = tar.extractfile(entry) if entry.isreg() and not entry.issparse() else None
    if source is None:
        raise ArchiveError(f"holds {entry.name} as something other than a plain file")
    if entry.size != member.size_bytes:
        raise ArchiveError(f"holds {entry.name} of {entry.size} bytes where {member.size_bytes} are expected")
    return source


def _copy(source: IO[bytes], target: Path, done_bytes: int, unpacked: Unpacked) -> int:
    with target.open("wb") as file:
        while piece := source.read(_PIECE_BYTES):
            file.write(piece)
            done_bytes += len(piece)
            unpacked(done_bytes)
        file.flush()
        os.fsync(file.fileno())
    return done_bytes


class _Content(bz2.BZ2File):
    """What comes out of the compression, no more than the limit of it; damage is an ArchiveError."""

    def __init__(self, archive: Path, limit_bytes: int) -> None:
        super().__init__(archive)
        self._limit_bytes = limit_bytes

    def read(self, size: int | None = -1) -> bytes:
        try:
            piece = super().read(-1 if size is None else size)
        except EOFError as error:
            raise ArchiveError("is cut off") from error
        except OSError as error:
            if error.errno is not None:  # the disk, not the content
                raise
            raise ArchiveError(f"is damaged ({error})") from error
        if self.tell() > self._limit_bytes:
            raise ArchiveError(f"unpacks to more than {self._limit_bytes} bytes")
        return piece
