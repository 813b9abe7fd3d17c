"""What every source of model files is asked, and what it may answer."""

from pathlib import Path
from typing import Protocol

from agent.models.sources.file import ModelFile, Progress


class SourceError(Exception):
    """A source cannot give a file; the message is what comes after the file's name in a sentence.

    Attributes:
        resumes: What has arrived is kept, and a later call goes on from there.
        is_known: It was said before, of another file.
    """

    def __init__(self, message: str, *, resumes: bool = False, is_known: bool = False) -> None:
        super().__init__(message)
        self.resumes = resumes
        self.is_known = is_known


class Source(Protocol):
    """Somewhere that files of the catalogue may come from."""

    @property
    def is_remote(self) -> bool:
        """Whether something is downloaded."""
        ...

    def origin(self, file: ModelFile) -> str | None:
        """Where the file would come from, in words for people; None where it cannot. Asks no network."""
        ...

    def fetch(self, file: ModelFile, directory: Path, progress: Progress) -> None:
        """Put the file into the directory under its final name, whole and checked (`file.publish`).

        Raises:
            SourceError: It cannot be had from here.
            OSError: The disk.
        """
        ...
