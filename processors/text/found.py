"""What a recogniser hands back: a stretch of a line, and what is said in its place."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """A token of a kind that is known.

    Attributes:
        start: Index of its first character.
        end: Index behind its last.
        words: What is said.
    """

    start: int
    end: int
    words: str
