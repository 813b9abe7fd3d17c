"""Where what is spoken was written: each word of a spoken piece, and the characters of the reply that it says.

In:  a reply as the language model wrote it, and the pieces that are spoken of it.   Out: places in the reply.

Places count characters (Unicode code points) from the reply's first, Markdown and all; the end is the index behind the
last one. From word to word they never go back. A number that takes several words is the place of each of them.
"""

import re
from difflib import SequenceMatcher
from typing import NamedTuple

from processors.text.bare_words import bare
from processors.text.spoken_text import speak_text

# In the metadata of a frame whose text is to be spoken: a list of WordPlace.
WORD_PLACES = "word_places"
# What was not cut into pieces of a usual length is not worth a comparison of each word with each.
_COMPARED_MAX_WORDS = 400

_SPOKEN_WORD = re.compile(r"\S+")
_WRITTEN_WORD = re.compile(r"[^\s|—]+")
_MARKS = "*_`~[](){}#>\"'"
# An address behind the label that is spoken for it.
_LINK_TARGET = re.compile(r"(?<=\])\([^\s()]{0,2000}(?:\([^\s()]{0,200}\)[^\s()]{0,200}){0,3}\)")


class SpokenPiece(str):
    """A piece of speakable text that knows where it was written.

    Attributes:
        start: Index of its first character in the text as it came.
        end: Index behind its last one.
    """

    start: int
    end: int

    def __new__(cls, text: str, start: int, end: int) -> "SpokenPiece":
        """Make one."""
        piece = super().__new__(cls, text)
        piece.start, piece.end = start, end
        return piece


class WordPlace(NamedTuple):
    """A spoken word and what it says of a reply.

    Attributes:
        word: As it is spoken.
        reply: The reply's number in the conversation.
        start: Index of the first character.
        end: Index behind the last one; `start`, where nothing was written for the word.
        begins_piece: Whether it is the first word of what is spoken in one go.
    """

    word: str
    reply: int
    start: int
    end: int
    begins_piece: bool


class WrittenReply:
    """What has been written of one reply, and how much of that has been handed on.

    Attributes:
        number: Of the reply in the conversation, from 1.
    """

    def __init__(self, number: int, language: str, text: str = "") -> None:
        self.number = number
        self._language = language
        self._text = text
        self._n_taken = 0

    def add(self, token: str) -> None:
        """More has been written."""
        self._text += token

    def take(self, until: int) -> tuple[int, str]:
        """Hand on what lies between what was handed on before and an index.

        Returns:
            Where it begins, and the text; empty if there is no more.
        """
        start, self._n_taken = self._n_taken, max(until, self._n_taken)
        return start, self._text[start : self._n_taken]

    def places_of(self, piece: SpokenPiece) -> list[WordPlace]:
        """Find the words of a piece."""
        written = self._text[piece.start : piece.end]
        spans = align_words(piece, written, self._language)
        return [
            WordPlace(word, self.number, piece.start + start, piece.start + end, index == 0)
            for index, (word, start, end) in enumerate(spans)
        ]


def align_words(spoken: str, written: str, language: str) -> list[tuple[str, int, int]]:
    """Find what each spoken word says of the text that it was made from.

    Each written word is said by itself, and what is alike is held fast; what lies between is shared out in order.

    Args:
        spoken: Speakable text.
        written: Markdown that it says.
        language: ISO 639-1 code.

    Returns:
        (word, start, end) of each word of `spoken` that has a letter or digit; indices in `written` that never go back.
    """
    words = [match[0] for match in _SPOKEN_WORD.finditer(spoken) if _is_said(match[0])]
    visible = _LINK_TARGET.sub(lambda match: " " * len(match[0]), written)
    tokens = [match for match in _WRITTEN_WORD.finditer(visible) if _is_said(match[0])]
    said = [(word, token.span()) for token in tokens for word in _said_words(token[0], language)]
    aligned: list[tuple[str, int, int]] = []
    end = 0
    for spoken_run, written_run in _runs(words, [word for word, _ in said]):
        spans = [said[index][1] for index in written_run]
        for index, word in enumerate(words[spoken_run.start : spoken_run.stop]):
            # What was written without a letter (a sign) belongs to what stands before it.
            start = aligned[-1][1] if aligned else end
            if spans:
                first = index * len(spans) // len(spoken_run)
                last = max(first, (index + 1) * len(spans) // len(spoken_run) - 1)
                start, end = spans[first][0], spans[last][1]
            aligned.append((word, start, end))
    return aligned


def _said_words(token: str, language: str) -> list[str]:
    """How a written word may be spoken."""
    plain = token.strip(_MARKS)
    return [plain] if plain.isalpha() else speak_text(plain, language, at_line_start=False).split() or [plain]


def _is_said(word: str) -> bool:
    return any(character.isalnum() for character in word)


def _runs(spoken: list[str], written: list[str]) -> list[tuple[range, range]]:
    """Stretches of both that belong together, in order: one word each where they agree, else what lies between."""
    runs: list[tuple[range, range]] = []
    at_spoken = at_written = 0
    for first_spoken, first_written, length in _agreements(spoken, written):
        if first_spoken > at_spoken:
            runs.append((range(at_spoken, first_spoken), range(at_written, first_written)))
        runs += [(range(first_spoken + n, first_spoken + n + 1), range(first_written + n, first_written + n + 1))
                 for n in range(length)]  # fmt: skip
        at_spoken, at_written = first_spoken + length, first_written + length
    return runs


def _agreements(spoken: list[str], written: list[str]) -> list[tuple[int, int, int]]:
    """Where both have the same words: index in each, and how many; the last has none, at the end of both."""
    end = (len(spoken), len(written), 0)
    if max(len(spoken), len(written)) > _COMPARED_MAX_WORDS:
        return [end]
    matcher = SequenceMatcher(None, [bare(word) for word in spoken], [bare(word) for word in written], autojunk=False)
    return [(block.a, block.b, block.size) for block in matcher.get_matching_blocks()]
