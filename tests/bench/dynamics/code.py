"""The agent's voice as a code: every sample of it can be found again in a recording.

In:  words.   Out: 24 kHz int16; each word is a pseudo-random sequence of +level and -level that belongs to this word.

A recording is compared by sign, so that ducked stretches match too. The level is the same in every sample: a window of
any length has exactly this level unless something was done to it.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from processors.text.bare_words import bare

RATE_HZ = 24_000
WORD_SAMPLES = 6_000
WORD_SECS = WORD_SAMPLES / RATE_HZ
LEVEL_S16 = 6_000
# What a place in the recording is recognized by: 10 ms.
KEY_SAMPLES = 240
# Signs of other sounds agree in half of all samples, those of the same sound in all.
SAME_SIGNS = 0.9
# A match ends where this many of so many signs differ.
END_WINDOW = 24
END_MISSES = 8

Pcm16 = np.ndarray[Any, np.dtype[np.int16]]
Signs = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Stretch:
    """A stretch of planned speech that was played without a gap; all in samples at 24 kHz."""

    played_at: int
    planned_at: int
    n_samples: int

    @property
    def played_until(self) -> int:
        """One past the last sample in the recording."""
        return self.played_at + self.n_samples

    @property
    def planned_until(self) -> int:
        """One past the last sample in the plan."""
        return self.planned_at + self.n_samples


def words_of(text: str) -> list[str]:
    """The words of a text without case and punctuation."""
    return bare(text).split()


def coded_word(word: str) -> Pcm16:
    """A word's sound; shape (WORD_SAMPLES,), int16."""
    seed = zlib.crc32(bare(word).encode())
    signs = np.random.default_rng(seed).integers(0, 2, WORD_SAMPLES) * 2 - 1
    return (signs * LEVEL_S16).astype(np.int16)


def coded(text: str) -> Pcm16:
    """A text's sound; shape (number of words x WORD_SAMPLES,), int16."""
    return np.concatenate([np.zeros(0, np.int16), *map(coded_word, words_of(text))])


def find_stretches(heard_s16: Pcm16, planned_s16: Pcm16) -> list[Stretch]:
    """Where planned speech was played.

    Args:
        heard_s16: shape (n_samples,), int16, 24 kHz: a recording of the agent.
        planned_s16: shape (n_samples,), int16, 24 kHz: from `coded`; no word may stand in it twice.

    Returns:
        Stretches in the order in which they were played. Other sounds are passed over.
    """
    return list(_stretches(_signs(heard_s16), _signs(planned_s16)))


def playings(stretches: Sequence[Stretch]) -> list[list[Stretch]]:
    """The stretches of each time that the same reply was played: it may be asked for and begun again."""
    times: list[list[Stretch]] = []
    for stretch in stretches:
        if not times or stretch.planned_at < KEY_SAMPLES:
            times.append([])
        times[-1].append(stretch)
    return times


def heard_words(stretches: Sequence[Stretch], text: str) -> list[str]:
    """The words of which half or more was played, in the order of the text."""
    words = words_of(text)
    played = np.zeros(len(words) * WORD_SAMPLES, bool)
    for stretch in stretches:
        played[stretch.planned_at : stretch.planned_until] = True
    shares = played.reshape(len(words), WORD_SAMPLES).mean(axis=1)
    return [word for word, share in zip(words, shares, strict=True) if share >= 0.5]


def _signs(audio_s16: Pcm16) -> Signs:
    return np.sign(audio_s16).astype(np.float32)


def _stretches(heard: Signs, planned: Signs) -> Iterator[Stretch]:
    sounding = np.flatnonzero(heard)
    at = at_least = expected = 0
    while True:
        index = int(np.searchsorted(sounding, at))
        if index >= len(sounding) or sounding[index] + KEY_SAMPLES > len(heard):
            return
        at = int(sounding[index])
        found = _find(heard[at : at + KEY_SAMPLES], planned, expected)
        if found is None:
            at += KEY_SAMPLES // 2
            continue
        # The key may lie within the stretch, if it was looked for among other sounds.
        n_before = _common_length_before(heard[at_least:at], planned[:found])
        n_samples = n_before + _common_length(heard[at:], planned[found:])
        at, found = at - n_before, found - n_before
        yield Stretch(at, found, n_samples)
        at = at_least = at + n_samples
        expected = found + n_samples


def _find(key: Signs, planned: Signs, expected: int) -> int | None:
    """Where a key stands in the plan; first it is looked for where it should be."""
    if len(planned) < KEY_SAMPLES:
        return None
    here = planned[expected : expected + KEY_SAMPLES]
    if len(here) == KEY_SAMPLES and np.dot(key, here) >= KEY_SAMPLES * SAME_SIGNS:
        return expected
    agreement = np.correlate(planned, key, "valid")
    best = int(agreement.argmax())
    return best if agreement[best] >= KEY_SAMPLES * SAME_SIGNS else None


def _common_length(heard: Signs, planned: Signs) -> int:
    """How long both go on with the same signs."""
    length = min(len(heard), len(planned))
    missed = np.flatnonzero(heard[:length] != planned[:length])
    for first, last in zip(missed, missed[END_MISSES - 1 :], strict=False):
        if last - first < END_WINDOW:
            return int(first)
    return length


def _common_length_before(heard: Signs, planned: Signs) -> int:
    """How far back both have the same signs."""
    length = min(len(heard), len(planned))
    missed = np.flatnonzero(heard[len(heard) - length :] != planned[len(planned) - length :])
    return length - 1 - int(missed[-1]) if missed.size else length
