"""Which phonemes of a clause belong to which of its words.

In:  the words of a clause, its phonemes.   Out: a span of the phonemes for each word.

Most words are a group of phonemes between spaces. Some are several ("42"), some short ones share one ("of the"):
there the clause is compared with the words spoken alone.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

# A word that is spoken as one group and no more; figures, initials and joined words may be several.
_PLAIN_WORD = re.compile(r"\W*[^\W\d_]+(?:['’][^\W\d_]+)?\W*")
# A word begins at a space that is not further away than this from where the comparison puts it.
_SNAP_PHONEMES = 3


def word_phonemes(
    words: Sequence[str], phonemes: str, alone: Callable[[], Sequence[str]]
) -> list[tuple[str, int, int]]:
    """Find the phonemes of each word.

    Args:
        words: The words of a clause, in order.
        phonemes: How the clause is spoken, with a space between groups.
        alone: Gives how each word is spoken alone; asked only where words and groups differ in number.

    Returns:
        (word, start, end) with offsets in `phonemes`, in order and without overlap; a word may have none.
    """
    groups = _groups(phonemes)
    if len(groups) == len(words) and all(map(_PLAIN_WORD.fullmatch, words)):
        return [(word, start, end) for word, (start, end) in zip(words, groups, strict=True)]
    edges = [_snapped(edge, [start for start, _ in groups]) for edge in _edges(alone(), phonemes)]
    spans: list[tuple[str, int, int]] = []
    start = 0
    for word, end in zip(words, [*edges, len(phonemes)], strict=True):
        end = max(start, end)
        spans.append((word, start, start + len(phonemes[start:end].rstrip())))
        start = end
    return spans


def _edges(alone: Sequence[str], phonemes: str) -> list[int]:
    """Where each word but the first begins in the phonemes of the clause."""
    joined = " ".join(alone)
    blocks = SequenceMatcher(None, joined, phonemes, autojunk=False).get_matching_blocks()
    block_starts = [block.a for block in blocks]
    edges: list[int] = []
    at = 0
    for one in alone[:-1]:
        at += len(one) + 1
        index = bisect_right(block_starts, at) - 1
        block = blocks[max(0, index)]
        within = min(at - block.a, block.size) if index >= 0 else 0
        edges.append(min(block.b + within, len(phonemes)))
    return edges


def _snapped(edge: int, starts: Sequence[int]) -> int:
    near = min(starts, key=lambda start: abs(start - edge), default=edge)
    return near if abs(near - edge) <= _SNAP_PHONEMES else edge


def _groups(phonemes: str) -> list[tuple[int, int]]:
    """Spans between spaces."""
    groups: list[tuple[int, int]] = []
    at = 0
    for group in phonemes.split(" "):
        if group:
            groups.append((at, at + len(group)))
        at += len(group) + 1
    return groups
