"""What real ears hear of a voice, compared with what it was given to say.

Real voices draw their sounds anew each time (Piper by noise, Kokoro by the stretches that time allows), and real ears
take one word in some hundreds for another. So no test asks for each word: all its words together tell whether a voice
can be understood.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

WHISPER_RATE_HZ = 16_000


@dataclass(frozen=True)
class Heard:
    """A spoken sentence and what was heard of it.

    Attributes:
        said: Its words, plain.
        understood: Indices of the words that were heard as they are, and when each begins, in seconds.
    """

    said: list[str]
    understood: dict[int, float]


class Ears:
    """Whisper as it comes, on one thread.

    Args:
        real_weights: A models directory that has `stt/base`.
    """

    def __init__(self, real_weights: Path) -> None:
        from faster_whisper import WhisperModel

        folder = str(real_weights / "stt" / "base")
        self._whisper = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1)

    def listen(self, audio: np.ndarray[Any, np.dtype[np.float32]], rate_hz: int, said: list[str]) -> Heard:
        """English sound, listened to.

        Args:
            audio: Mono, from -1 to 1.
            rate_hz: Of the sound.
            said: The words that it was given to say.
        """
        sound = soxr.resample(audio, rate_hz, WHISPER_RATE_HZ)
        segments, _ = self._whisper.transcribe(sound, language="en", word_timestamps=True)
        words = [word for segment in segments for word in segment.words or ()]
        said = [_plain(word) for word in said]
        matcher = difflib.SequenceMatcher(None, said, [_plain(word.word) for word in words], autojunk=False)
        return Heard(
            said,
            {
                block.a + i: float(words[block.b + i].start)
                for block in matcher.get_matching_blocks()
                for i in range(block.size)
            },
        )


def understood_share(all_heard: list[Heard]) -> float:
    """The share of all words that were understood, 0 to 1."""
    return sum(len(heard.understood) for heard in all_heard) / sum(len(heard.said) for heard in all_heard)


def _plain(word: str) -> str:
    return word.strip(" .,!?").lower()
