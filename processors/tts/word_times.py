"""Where words stand in a text, and in its sound when the engine does not say."""

import re
from collections.abc import Sequence

from processors.tts.synthesizer import SpokenWord

_WORD = re.compile(r"\S+")


def word_spans(text: str) -> list[tuple[str, int, int]]:
    """The whitespace-separated words of a text that hold a letter or digit, punctuation included.

    Returns:
        (word, start, end) with character offsets; a lone mark such as a dash joins the word before it.
    """
    spans: list[tuple[str, int, int]] = []
    for match in _WORD.finditer(text):
        if any(character.isalnum() for character in match.group()):
            spans.append((match.group(), match.start(), match.end()))
    return spans


def spread_words(
    words: Sequence[str], weights: Sequence[float], start_secs: float, end_secs: float
) -> tuple[SpokenWord, ...]:
    """Spread words over a stretch of sound in proportion to their weights.

    Args:
        words: The words, in order.
        weights: One positive number a word, such as its count of phonemes.
        start_secs: Where the first word starts.
        end_secs: Where the last word ends.

    Raises:
        ValueError: The lengths differ; the message shows both.
    """
    if len(words) != len(weights):
        raise ValueError(f"{len(words)} words but {len(weights)} weights")
    total = sum(weights) or 1.0
    spread: list[SpokenWord] = []
    at_secs = start_secs
    for word, weight in zip(words, weights, strict=True):
        until_secs = at_secs + (end_secs - start_secs) * weight / total
        spread.append(SpokenWord(word, at_secs, until_secs))
        at_secs = until_secs
    return tuple(spread)


class GuessedWords:
    """Where words are likely to stand, of a sound whose length is not known yet.

    Attributes:
        n_chars: Of all words.
    """

    def __init__(self, words: list[str], secs_a_char: float) -> None:
        self.n_chars = sum(map(len, words))
        self._left = list(words)
        self._secs_a_char = secs_a_char
        self._at_secs = 0.0

    def until(self, secs: float) -> tuple[SpokenWord, ...]:
        """The words that start before then."""
        begun: list[SpokenWord] = []
        while self._left and self._at_secs < secs:
            begun.append(self._next(self._at_secs + len(self._left[0]) * self._secs_a_char))
        return tuple(begun)

    def rest(self, end_secs: float) -> tuple[SpokenWord, ...]:
        """The others, which end with the sound."""
        return tuple(self._next(end_secs) for _ in range(len(self._left)))

    def _next(self, end_secs: float) -> SpokenWord:
        start_secs, self._at_secs = min(self._at_secs, end_secs), end_secs
        return SpokenWord(self._left.pop(0), start_secs, end_secs)
