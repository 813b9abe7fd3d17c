"""The conversation set: what is said, by whom, and the truth about it.

In:  the machine's voices, the project's recordings, and recordings of people beside the repository where there are any.
Out: labelled items, the same at every run on one machine.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import numpy as np

from processors.tts.synthesizer import SpokenWord
from tests.bench.dynamics.noises import NOISES, hum, noise
from tests.bench.dynamics.voices import (
    RATE_HZ,
    Spoken,
    Voice,
    speak,
    spread,
    usable_voices,
    voiced_span_secs,
    with_pauses,
)
from tests.support.house import SPEECH
from transports.recording import load_recording

Kind = Literal["question", "hesitating", "barge_in", "backchannel", "noise"]
KINDS: tuple[Kind, ...] = ("question", "hesitating", "barge_in", "backchannel", "noise")
SHARED = Path(__file__).resolve().parents[4] / "shared" / "audio"
EDGE_SECS = 0.1
N_QUESTIONS = 20

Pcm16 = np.ndarray[Any, np.dtype[np.int16]]

# The agent is made to speak by this question before somebody talks over it.
OPENING = "tell_me_a_story.wav"

PEOPLE = {
    "hello_world.wav": "hello world",
    "weather_question.wav": "what is the weather in Paris",
    "reader1_1.wav": "the child almost hurt the small dog",
    "reader1_2.wav": "drop the two when you add the figures",
    "reader1_3.wav": "at that high level the air is pure",
    "reader1_5.wav": "sunday is the best part of the week",
}
OWN_QUESTIONS = ("what_time_is_it.wav", "how_are_you_today.wav", "days_in_a_week.wav", "kitchen_lights.wav")
QUESTIONS = (
    "What's the capital of France?",
    "How tall is Mount Everest?",
    "What day is it today?",
    "Who wrote Romeo and Juliet?",
    "Turn off the lights.",
    "Is it going to rain tomorrow?",
    "How many grams are in a pound?",
    "Play some jazz.",
    "What's two plus two?",
    "Where is the nearest pharmacy?",
    "Set an alarm for seven.",
    "Tell me a joke.",
    "Do whales sleep?",
    "How do you say thank you in Japanese?",
    "What can you do?",
    "When does the sun set?",
)
# Numbers are pauses in seconds.
HESITATING: tuple[tuple[str | float, ...], ...] = (
    ("set a timer for", 0.9, "ten minutes"),
    ("um,", 0.7, "what is the weather in Paris"),
    ("I'd like to", 0.8, "book a table for two"),
    ("remind me to call", 0.6, "uh,", 0.7, "my sister tomorrow"),
    ("what is the", 1.0, "capital of Australia"),
    ("can you tell me", 0.8, "how far away the moon is"),
    ("play some music by", 0.9, "Johann Sebastian Bach"),
    ("my number is five five five", 0.7, "one two three four"),
    ("turn on the lights in the kitchen and", 0.8, "the living room"),
    ("so", 0.6, "I was thinking", 0.9, "that we could go to the beach"),
    ("what's the weather", 0.6, "in Berlin tomorrow"),
    ("wake me up at seven", 0.5, "thirty"),
)
BARGE_INS = (
    "no wait, I meant tomorrow",
    "what about Paris",
    "wait",
    "never mind",
    "hold on a second",
    "actually I wanted the other one",
    "can you say that again",
    "no that's wrong",
    "okay but what about London",
    "yeah no, I meant Tuesday",
    "excuse me, what time is it",
)
OWN_BARGE_INS = ("stop.wav",)
# Voices that spell mm-hm say this as people say it.
UM_HUM = "um hum"
BACKCHANNELS = ("yeah", "okay", "right", "uh-huh", "okay right", "yeah", "uh-huh", UM_HUM, UM_HUM)
HUM_HZ = 150.0


@dataclass(frozen=True)
class Item:
    """Something to be heard, and the truth about it.

    Attributes:
        name: Unique in the set.
        audio_s16: shape (n_samples,), int16, 16 kHz.
        words: Times count from the first sample; none in a noise.
        onset_secs: Where the voice, or the noise, starts.
        end_secs: Where it ends.
        pauses: Where the speaker hesitates: (start, end).
        source: Who or what it is.
    """

    name: str
    kind: Kind
    audio_s16: Pcm16
    words: tuple[SpokenWord, ...]
    onset_secs: float
    end_secs: float
    source: str
    pauses: tuple[tuple[float, float], ...] = ()

    @property
    def text(self) -> str:
        """What is said; empty for a noise."""
        return " ".join(word.text for word in self.words)


def make_items(folder: Path) -> list[Item]:
    """The whole set.

    Args:
        folder: Where the programs of voices may write.
    """
    voices = cycle(usable_voices())
    items = [
        *_questions(voices, folder),
        *_hesitating(voices, folder),
        *(_spoken("barge_in", next(voices), text, folder) for text in BARGE_INS),
        *(_recorded("barge_in", name, _own_words(name)) for name in OWN_BARGE_INS),
        *(_backchannel(next(voices), text, folder) for text in BACKCHANNELS),
        _hummed(HUM_HZ),
        *(_labelled(f"noise {name}", "noise", Spoken(noise(name), ()), "synthesised") for name in NOISES),
    ]
    return [items[index] for index in _first_of_each_name(items)]


def opening() -> Item:
    """The question after which the agent speaks."""
    return _recorded("question", OPENING, _own_words(OPENING))


def _questions(voices: Iterator[Voice], folder: Path) -> list[Item]:
    people = [_person(name, text) for name, text in PEOPLE.items() if (SHARED / name).is_file()]
    own = [_recorded("question", name, _own_words(name)) for name in OWN_QUESTIONS]
    n_more = N_QUESTIONS - len(people) - len(own)
    return [*people, *own, *(_spoken("question", next(voices), text, folder) for text in QUESTIONS[:n_more])]


def _hesitating(voices: Iterator[Voice], folder: Path) -> list[Item]:
    items: list[Item] = []
    for parts in HESITATING:
        voice = next(voices)
        text = " ".join(part for part in parts if isinstance(part, str))
        pauses: dict[int, float] = {}
        n_words = 0
        for part in parts:
            if isinstance(part, str):
                n_words += len(part.split())
            else:
                pauses[n_words] = part
        spoken, where = with_pauses(speak(voice, text, folder), pauses)
        items.append(_labelled(text, "hesitating", spoken, str(voice), where))
    return items


def _spoken(kind: Kind, voice: Voice, text: str, folder: Path) -> Item:
    return _labelled(f"{text} ({voice.name})", kind, speak(voice, text, folder), str(voice))


def _recorded(kind: Kind, name: str, text: str) -> Item:
    audio_s16 = load_recording(SPEECH / name).audio_s16
    return _labelled(name, kind, Spoken(audio_s16, spread(text, audio_s16)), "the project's recording")


def _person(name: str, text: str) -> Item:
    audio_s16 = load_recording(SHARED / name).audio_s16
    return _labelled(f"person {name}", "question", Spoken(audio_s16, spread(text, audio_s16)), "a person")


def _backchannel(voice: Voice, text: str, folder: Path) -> Item:
    spoken = speak(voice, text, folder)
    if text == UM_HUM:
        spoken = Spoken(spoken.audio_s16, (SpokenWord("mm-hm", 0.0, spoken.words[-1].end_secs),))
        text = "mm-hm"
    return _labelled(f"{text} ({voice.name})", "backchannel", spoken, str(voice))


def _hummed(pitch_hz: float) -> Item:
    audio_s16 = hum(pitch_hz)
    word = SpokenWord("mm-hm", 0.0, len(audio_s16) / RATE_HZ)
    return _labelled(f"mm-hm (hummed at {pitch_hz:.0f} Hz)", "backchannel", Spoken(audio_s16, (word,)), "synthesised")


def _own_words(name: str) -> str:
    return json.loads((SPEECH / "words.json").read_text(encoding="utf-8"))[name]["words"]


def _labelled(name: str, kind: Kind, spoken: Spoken, source: str, pauses: tuple[tuple[float, float], ...] = ()) -> Item:
    """Trim the silence around what is heard to EDGE_SECS, and say where everything is."""
    start_secs, end_secs = voiced_span_secs(spoken.audio_s16)
    first = round(start_secs * RATE_HZ)
    edge = np.zeros(round(EDGE_SECS * RATE_HZ), np.int16)
    audio_s16 = np.concatenate([edge, spoken.audio_s16[first : round(end_secs * RATE_HZ)], edge])
    shift_secs = EDGE_SECS - start_secs
    words = tuple(
        SpokenWord(_as_heard(word.text), max(EDGE_SECS, word.start_secs + shift_secs), word.end_secs + shift_secs)
        for word in spoken.words
    )
    shifted = tuple((start + shift_secs, end + shift_secs) for start, end in pauses)
    return Item(name, kind, audio_s16, words, EDGE_SECS, end_secs + shift_secs, source, shifted)


def _as_heard(word: str) -> str:
    """A word as recognizers without punctuation write it."""
    return word.strip(".,?!").lower()


def _first_of_each_name(items: list[Item]) -> list[int]:
    """Voices go round, so that the same words may come twice from one voice."""
    names: dict[str, int] = {}
    for index, item in enumerate(items):
        names.setdefault(item.name, index)
    return sorted(names.values())
