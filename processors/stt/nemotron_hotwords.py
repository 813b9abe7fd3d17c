"""Hotwords for a Nemotron model: which it can spell, and the files that sherpa-onnx reads them from.

In:  phrases, the model's tokens.   Out: a hotwords file and a vocabulary, for as long as the model loads.

sherpa-onnx spells hotwords with a `bpe.vocab` of token and score. The exports come without one, but SentencePiece
numbers the tokens in the order of their merges, so that the number, negated, is the score.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from processors.stt.nemotron_export import BLANK, WORD_START

# sherpa-onnx takes what follows it for a score.
_SCORE_MARK = ":"


def can_spell(tokens: Sequence[str], phrase: str) -> bool:
    """Whether every word of the phrase is a row of tokens; sherpa-onnx would drop the phrase otherwise."""
    words = phrase.split()
    known = frozenset(tokens)
    return bool(words) and all(not word.startswith(_SCORE_MARK) and _is_row(WORD_START + word, known) for word in words)


def _is_row(text: str, known: frozenset[str]) -> bool:
    reached = [True] + [False] * len(text)
    for end in range(1, len(text) + 1):
        reached[end] = any(reached[start] and text[start:end] in known for start in range(end))
    return reached[-1]


@contextmanager
def hotword_files(tokens: Sequence[str], phrases: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """The hotwords file and the vocabulary; both are gone afterwards.

    Args:
        tokens: In the order of their numbers.
        phrases: Each can be spelled.
    """
    with tempfile.TemporaryDirectory(prefix="sotto-hotwords-") as directory:
        hotwords, vocabulary = Path(directory) / "hotwords.txt", Path(directory) / "bpe.vocab"
        hotwords.write_text("".join(f"{' '.join(phrase.split())}\n" for phrase in phrases), encoding="utf-8")
        scores = "".join(f"{token}\t{-number}\n" for number, token in enumerate(tokens) if token != BLANK)
        vocabulary.write_text(scores, encoding="utf-8")
        yield hotwords, vocabulary
