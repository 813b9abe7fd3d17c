"""One file of a model: what it must be, and how it takes its name once it is.

A file is its sha256: wherever its bytes come from, `publish` is the only way to its final name.
"""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

HASH_PIECE_BYTES = 1024 * 1024

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Digest(Protocol):
    """A running checksum, as `hashlib` makes them."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class WrongContentError(Exception):
    """What arrived is another file; the message shows both checksums."""


@dataclass(frozen=True)
class ModelFile:
    """One file of a model.

    Attributes:
        name: Plain file name, the same on the server and on disk.
        url: http or https address.
        size_bytes: Exact size; a file of any other size is not this file.
        sha256: Lower-case hex digest, None where none is published.

    Raises:
        ValueError: The name could leave its directory, or another field is malformed.
    """

    name: str
    url: str
    size_bytes: int
    sha256: str | None

    def __post_init__(self) -> None:
        if not is_plain_name(self.name):
            raise ValueError(f"not a plain file name: {self.name!r}")
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"not an http(s) address: {self.url!r}")
        if self.size_bytes <= 0:
            raise ValueError(f"{self.name}: size must be positive, not {self.size_bytes}")
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"{self.name}: not a sha256 in lower-case hex: {self.sha256!r}")


Progress = Callable[[ModelFile, int], None]  # the file, and its bytes on disk so far


def is_plain_name(name: str) -> bool:
    """Whether a name stays in its directory on every system."""
    return _NAME.fullmatch(name) is not None


def part_path(directory: Path, file: ModelFile) -> Path:
    """Where a file grows from the network until it is whole; a later call continues it."""
    return directory / f"{file.name}.part"


def copy_path(directory: Path, file: ModelFile) -> Path:
    """Where a file grows from this machine until it is whole; a later call begins it again."""
    return directory / f"{file.name}.copy"


def sidecar_path(part: Path) -> Path:
    """What the server said of the version that a part belongs to."""
    return part.with_name(f"{part.name}.json")


def size_on_disk(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def hash_file(path: Path, read: Callable[[int], None] = lambda _done_bytes: None) -> "hashlib._Hash":
    """The sha256 of what a file holds.

    Args:
        path: The file.
        read: Called with the bytes read so far, after every piece.

    Raises:
        OSError: It cannot be read.
    """
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(HASH_PIECE_BYTES):
            digest.update(piece)
            done += len(piece)
            read(done)
    return digest


def publish(grown: Path, digest: Digest, file: ModelFile, directory: Path) -> None:
    """Give a grown file its final name, and remove what other tries at it have left.

    Args:
        grown: The whole file, beside its place.
        digest: The sha256 of its bytes.
        file: What it must be.
        directory: Its place.

    Raises:
        WrongContentError: It is something else; it is removed.
        OSError: It cannot be renamed.
    """
    found = digest.hexdigest()
    if file.sha256 is not None and found != file.sha256:
        grown.unlink()
        raise WrongContentError(f"expected sha256 {file.sha256}, got {found}; what was fetched is removed")
    with grown.open("rb") as content:
        os.fsync(content.fileno())
    os.replace(grown, directory / file.name)
    part = part_path(directory, file)
    for leftover in (part, sidecar_path(part), copy_path(directory, file)):
        leftover.unlink(missing_ok=True)
