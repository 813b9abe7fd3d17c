"""What callers say: a question of his own for each, so that words that reach the wrong conversation are seen.

In:  how many callers there are, or recordings.   Out: questions, 16 kHz mono s16, each with words that no other has.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr

from agent.errors import InputError
from agent.small_files import small_text
from processors.tts.espeak import EspeakSynthesizer
from transports.errors import RecordingError
from transports.recording import Pcm16, load_recording, voiced_end_secs
from transports.sound_file import SAMPLE_RATE_HZ

# None sounds like another; as many as a server may have callers.
THINGS = (
    "elephants pineapples volcanoes guitars submarines butterflies cathedrals diamonds telescopes hurricanes pyramids "
    "bicycles penguins chocolate violins kangaroos umbrellas mountains crocodiles libraries astronauts cucumbers "
    "lighthouses helicopters dinosaurs computers tomatoes waterfalls orchestras rockets pumpkins trumpets camels "
    "hospitals carnivals sandwiches alphabets bananas tigers potatoes calendars museums parrots newspapers gorillas "
    "dolphins factories harbours marathons cinnamon hedgehogs zeppelins windmills accordions avocados buffaloes "
    "cactuses dragons flamingos giraffes jungles lemonade mosquitoes octopuses"
).split()
VOICES = ("en-us", "en-gb", "en-us+f3", "en-us+m3")
# Shorter ones are in too many sentences.
MIN_MARK_CHARS = 4


@dataclass(frozen=True)
class Question:
    """What one caller says.

    Attributes:
        audio_s16: shape (n_samples,), int16, 16 kHz mono; it ends with its last voiced sample.
        text: Its words; empty where nobody knows them.
        marks: Those of them that no other question has, in small letters.
    """

    audio_s16: Pcm16
    text: str = ""
    marks: frozenset[str] = frozenset()


def synthesised(n_callers: int) -> list[Question]:
    """A question for each caller, in one of four voices of espeak-ng; takes some milliseconds each."""
    voices = [EspeakSynthesizer(voice=name) for name in VOICES]
    questions = []
    for index in range(n_callers):
        round_, thing = divmod(index, len(THINGS))
        times = f" {round_ + 1} times" if round_ else ""
        text = f"What do you know about {THINGS[thing]}{times}?"
        chunks = list(voices[index % len(voices)].synthesize(text))
        spoken_s16 = np.frombuffer(b"".join(chunk.pcm16 for chunk in chunks), "<i2")
        audio_s16 = soxr.resample(spoken_s16, voices[0].sample_rate_hz, SAMPLE_RATE_HZ)
        questions.append(Question(_voiced(audio_s16), text))
    return _marked(questions)


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
    """Its words, in small letters."""
    return re.findall(r"\w+", text.lower())


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
