"""What the agent's own sound tells: gaps inside a sentence, and whether a good recognizer understands it.

In:  what was played for one answer, 24 kHz int16, and the text.   Out: seconds of each gap, words misheard.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from processors.text.bare_words import bare
from tests.bench.dynamics.measure import AUDIBLE_S16, edit_distance
from tests.bench.real.replies import sentence_ends
from transports.recorded import OUT_RATE_HZ
from transports.recording import Pcm16
from transports.sound_file import SAMPLE_RATE_HZ

GAP_SECS = 0.15
# Where a recognizer says that a word ends is not where it ends: a gap belongs to the joint that is nearest.
WORDS_OFF = 1


@dataclass(frozen=True)
class Understood:
    """One answer as it sounded.

    Attributes:
        gaps_secs: Silences longer than 0.15 s within a sentence.
        n_wrong: Words left out, added or other than in the text.
        n_words: Of the text.
    """

    gaps_secs: list[float]
    n_wrong: int
    n_words: int


class Judge:
    """Listens with Whisper, the stock call, in the full window.

    Args:
        whisper: A directory in CTranslate2's format; base or better.
    """

    def __init__(self, whisper: Path) -> None:
        from faster_whisper import WhisperModel

        self._model = WhisperModel(str(whisper), device="cpu", compute_type="int8")

    def understand(self, heard_s16: Pcm16, text: str) -> Understood:
        """Judge one answer.

        Args:
            heard_s16: All that was played for it, at 24 kHz.
            text: What was to be said.
        """
        heard_f32 = heard_s16.astype(np.float32) / np.float32(32768)
        audio_f32 = soxr.resample(heard_f32, OUT_RATE_HZ, SAMPLE_RATE_HZ)
        segments, _ = self._model.transcribe(audio_f32, language="en", word_timestamps=True)
        words: list[Any] = [word for segment in segments for word in segment.words or ()]
        said, expected = bare(" ".join(word.word for word in words)).split(), bare(text).split()
        middles_secs = [(word.start + word.end) / 2 for word in words]
        ends = sentence_ends(text)
        gaps = [
            stop_secs - start_secs
            for start_secs, stop_secs in silences(heard_s16)
            if not _between_sentences(sum(middle < start_secs for middle in middles_secs), ends)
        ]
        return Understood(gaps, edit_distance(said, expected), len(expected))


def silences(heard_s16: Pcm16) -> list[tuple[float, float]]:
    """Where it is below -50 dBFS for more than 0.15 s between two audible samples: (start, end) seconds."""
    audible = np.flatnonzero(np.abs(heard_s16.astype(np.int32)) > AUDIBLE_S16)
    steps = np.diff(audible)
    long = np.flatnonzero(steps > GAP_SECS * OUT_RATE_HZ)
    return [(float(audible[at]) / OUT_RATE_HZ, float(audible[at + 1]) / OUT_RATE_HZ) for at in long]


def _between_sentences(n_words_before: int, ends: list[int]) -> bool:
    return any(abs(n_words_before - end) <= WORDS_OFF for end in ends)
