"""The source that takes files the user names, whatever they are called: each is known by its sha256."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.models.sources.file import ModelFile, hash_file
from agent.models.sources.on_disk import OnDisk


@dataclass(frozen=True)
class NamedFiles:
    """Files by checksum.

    Attributes:
        paths: By sha256, links followed.
    """

    paths: Mapping[str, Path]

    @classmethod
    def of(cls, paths: list[Path]) -> "NamedFiles":
        """Hash them all.

        Raises:
            OSError: One cannot be read.
        """
        return cls({hash_file(path).hexdigest(): path.resolve() for path in paths})

    def find(self, file: ModelFile) -> Iterator[tuple[Path, Path]]:
        """The file of that checksum."""
        if file.sha256 in self.paths:
            path = self.paths[file.sha256 or ""]
            yield path, path.parent

    def source(self) -> OnDisk:
        """They are copied: what the user keeps may be written to."""
        return OnDisk("the files named", self.find, may_link=False)
