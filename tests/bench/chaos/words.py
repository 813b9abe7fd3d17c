"""Words that say whose they are: each caller's own, and the agent's to each; and a sound for every word of the agent.

A word that a caller says ends in s (`kabodas`), a word of the agent does not (`kabodame`); the first syllable of both
is the caller's, and no other's. A word's sound is one block of signs again and again, which holds its number.
"""

import itertools
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from processors.stt.recognizer import Pcm16
from processors.text.bare_words import bare
from tests.support.dynamics_scripts import SYLLABLES

_SYLLABLE = "[bdgklmnprt][aeiou]"
_OWN = re.compile(rf"\b(?:(?:{_SYLLABLE}){{4}}|(?:{_SYLLABLE}){{3}}s)\b")
N_SYLLABLES = len(SYLLABLES)
# What the agent says that is nobody's: an apology, what bridges a wait, and the noise of an engine that does not end.
NOBODYS, NOISE = 62, 63
BLOCK_SAMPLES, BLOCKS = 60, 100
WORD_SECS = BLOCK_SAMPLES * BLOCKS / 24_000
LEVEL_S16 = 8_000
_SYNC = (1, 1, 1, 0, 1, 0, 0, 1)
_ID_BITS = 26
NO_WORD = -1


def said_word(caller: int, number: int) -> str:
    """A word that this caller says once."""
    return f"{SYLLABLES[caller]}{SYLLABLES[number // N_SYLLABLES]}{SYLLABLES[number % N_SYLLABLES]}s"


def reply_word(caller: int, n_reply: int, index: int) -> str:
    """A word that the agent says to this caller, at one place of one reply."""
    return said_word(caller, n_reply)[:-1] + SYLLABLES[index]


def own_words(text: str) -> list[str]:
    """The words in a text that are any caller's, or the agent's to one."""
    return _OWN.findall(text.lower())


def caller_of(word: str) -> int:
    """Whose it is."""
    return SYLLABLES.index(word[:2])


def place_of(word: str) -> tuple[int, int] | None:
    """Of a word of the agent: which reply to its caller, and where in it; None where it is none."""
    word = bare(word)
    if not _OWN.fullmatch(word) or word.endswith("s"):
        return None
    numbers = [SYLLABLES.index(word[at : at + 2]) for at in (2, 4, 6)]
    return numbers[0] * N_SYLLABLES + numbers[1], numbers[2]


def _id_of(word: str) -> int:
    word = bare(word)
    place = place_of(word)
    if place is None:
        return NOBODYS << 20 | zlib.crc32(word.encode()) & 0xFFFFF
    return caller_of(word) << 20 | place[0] << 6 | place[1]


def sound_of(word: str | None, blocks: int = BLOCKS) -> bytes:
    """The sound of a word of the agent, 24 kHz mono s16; of None, a noise that is no word."""
    number = NOISE << 20 if word is None else _id_of(word)
    bits = [number >> at & 1 for at in reversed(range(_ID_BITS))]
    signs = np.array([*_SYNC, *bits, *(1 - bit for bit in bits)]) * 2 - 1
    return np.tile((signs * LEVEL_S16).astype("<i2"), blocks).tobytes()


@dataclass(frozen=True)
class Heard:
    """One word of the agent's, as far as it was played at one place.

    Attributes:
        caller: Whose; NOBODYS for an apology and the like, NOISE, or NO_WORD where the sound is no word at all.
        n_reply: Which reply to that caller.
        index: Where in it.
        part: How much of the word, 0 to 1.
    """

    caller: int
    n_reply: int
    index: int
    part: float


def heard_words(heard_s16: Pcm16) -> list[Heard]:
    """What was played, silence left out, in order."""
    sounding = heard_s16[heard_s16 != 0]
    n_blocks = len(sounding) // BLOCK_SAMPLES
    bits = sounding[: n_blocks * BLOCK_SAMPLES].reshape(n_blocks, BLOCK_SAMPLES) > 0
    start = len(_SYNC)
    ids, inverse = bits[:, start : start + _ID_BITS], bits[:, start + _ID_BITS :]
    whole = (bits[:, :start] == np.array(_SYNC, bool)).all(axis=1) & (ids != inverse).all(axis=1)
    numbers = np.where(whole, ids @ (1 << np.arange(_ID_BITS)[::-1]), NO_WORD)
    words = [_heard(number, n) for number, n in _runs(numbers)]
    return words if len(sounding) % BLOCK_SAMPLES == 0 else [*words, Heard(NO_WORD, 0, 0, 0.0)]


def _runs(numbers: "np.ndarray[Any, np.dtype[np.int64]]") -> Iterator[tuple[int, int]]:
    starts = np.flatnonzero(np.diff(numbers, prepend=-2))
    for start, end in itertools.pairwise([*starts, len(numbers)]):
        yield int(numbers[start]), int(end - start)


def _heard(number: int, n_blocks: int) -> Heard:
    if number == NO_WORD:
        return Heard(NO_WORD, 0, 0, n_blocks / BLOCKS)
    return Heard(number >> 20, number >> 6 & 0x3FFF, number & 0x3F, n_blocks / BLOCKS)
