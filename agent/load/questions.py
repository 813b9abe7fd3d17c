"""What callers say: a question of his own for each, so that words that reach the wrong conversation are seen.

In:  how many callers there are, or recordings.   Out: questions, 16 kHz mono s16, each with words by which it is known.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import soxr

from agent.errors import InputError
from agent.small_files import small_text
from processors.tts.espeak import EspeakSynthesizer
from transports.errors import RecordingError
from transports.recording import Pcm16, load_recording, voiced_end_secs
from transports.sound_file import SAMPLE_RATE_HZ

# What small ears, too, understand of each voice of espeak-ng; no word sounds like another.
THINGS = {
    "en-us": ("elephants submarines telescopes penguins dinosaurs camels calendars marathons windmills jungles"),
    "en-gb": ("chocolate mountains cucumbers computers rockets hospitals museums dolphins cinnamon dragons lemonade"),
    "en-us+f3": ("crocodiles tomatoes pumpkins tigers parrots factories avocados flamingos mosquitoes"),
    "en-us+m3": ("guitars bicycles kangaroos libraries helicopters waterfalls sandwiches newspapers giraffes"),
}
# Shorter ones are in too many sentences.
MIN_MARK_CHARS = 4


@dataclass(frozen=True)
class Question:
    """What one caller says.

    Attributes:
        audio_s16: shape (n_samples,), int16, 16 kHz mono; it ends with its last voiced sample.
        text: Its words; empty where nobody knows them.
        marks: Those of them by which it is known, as `words_of` gives them.
    """

    audio_s16: Pcm16
    text: str = ""
    marks: frozenset[str] = frozenset()


def synthesised(n_callers: int) -> list[Question]:
    """A question for each caller, in the voices of espeak-ng; takes some milliseconds each.

    There are 39; of more callers, some have the same one.
    """
    asked = [_synthesised(voice, thing) for voice, thing in _things()[:n_callers]]
    return [asked[index % len(asked)] for index in range(n_callers)]


def _things() -> list[tuple[str, str]]:
    """Voices in turn, each with the next of its words."""
    rows = zip_longest(*([(voice, thing) for thing in things.split()] for voice, things in THINGS.items()))
    return [one for row in rows for one in row if one]


def _synthesised(voice: str, thing: str) -> Question:
    speaker, text = EspeakSynthesizer(voice=voice), f"What do you know about {thing}?"
    spoken_s16 = np.frombuffer(b"".join(chunk.pcm16 for chunk in speaker.synthesize(text)), "<i2")
    audio_s16 = soxr.resample(spoken_s16, speaker.sample_rate_hz, SAMPLE_RATE_HZ)
    return Question(_voiced(audio_s16), text, frozenset(words_of(thing)))


def recorded(paths: Sequence[Path]) -> list[Question]:
    """Recordings; a text file of the same name beside one (`a.txt` beside `a.wav`) says its words.

    Raises:
        InputError: One is missing or broken; the message names it.
    """
    return _marked([_recorded(path) for path in paths])


def for_callers(n_callers: int, paths: Sequence[Path] = ()) -> list[Question]:
    """A question for each caller: of the recordings in turn, or synthesised where there are none.

    Raises:
        InputError: A recording is missing or broken.
    """
    if not paths:
        return synthesised(n_callers)
    questions = recorded(paths)
    return [questions[index % len(questions)] for index in range(n_callers)]


def words_of(text: str) -> list[str]:
    """Its words in small letters, each without a last s: ears write "pumpkin" for "pumpkins"."""
    return [word.removesuffix("s") or word for word in re.findall(r"\w+", text.lower())]


def _recorded(path: Path) -> Question:
    try:
        audio_s16 = load_recording(path).audio_s16
        beside = path.with_suffix(".txt")
        return Question(_voiced(audio_s16), small_text(beside) if beside.is_file() else "")
    except (RecordingError, OSError, ValueError) as error:
        raise InputError(str(error)) from error


def _voiced(audio_s16: Pcm16) -> Pcm16:
    return audio_s16[: round(voiced_end_secs(audio_s16) * SAMPLE_RATE_HZ)]


def _marked(questions: Iterable[Question]) -> list[Question]:
    questions = list(questions)
    own = [set(words_of(question.text)) for question in questions]
    n_have = Counter(word for words in own for word in words)
    return [
        replace(question, marks=frozenset(word for word in words if n_have[word] == 1 and len(word) >= MIN_MARK_CHARS))
        for question, words in zip(questions, own, strict=True)
    ]
