"""What a recogniser hands back: a stretch of a line, and what is said in its place."""

from typing import NamedTuple


class Found(NamedTuple):
    """A token of a kind that is known.

    Attributes:
        start: Index of its first character.
        end: Index behind its last.
        words: What is said.
    """

    start: int
    end: int
    words: str
