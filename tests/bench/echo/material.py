"""Who speaks: the agent's long answers, the user's utterances, and one trial's timeline of both.

The agent speaks with espeak's voices, and where ../shared/audio is there, with people's. Users are the project's own
recordings and people's. Recordings that carry a reverberant room of their own are no users: voice activity misses them
in a second room even where nobody else speaks.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr

from processors.tts.espeak import EspeakSynthesizer
from tests.conftest import REPOSITORY
from tests.support.house import SPEECH
from transports.recording import load_recording
from transports.room import AGENT_DBFS, USER_DBFS, active_dbfs

RATE_HZ = 16_000
BLOCK = RATE_HZ // 100
SHARED = REPOSITORY.parent / "shared" / "audio"
ESPEAK_VOICES = ("en-us", "en-us+m3", "en-us+f3")
PEOPLE = "people"
UTTERANCES = (
    *("stop", "what_time_is_it", "tell_me_a_story", "capital_of_germany", "kitchen_lights"),
    *("hello_world", "how_are_you_today", "five_minutes", "days_in_a_week"),
)
SHARED_UTTERANCES = {
    "reader1_1": "the child almost hurt the small dog",
    "reader1_2": "drop the two when you add the figures",
    "reader1_3": "at that high level the air is pure",
    "reader1_4": "a thin stripe runs down the middle",
    "reader1_5": "sunday is the best part of the week",
    "reader1_6": "the pencils have all been used",
    "hello_world": "hello world",
    "weather_question": "what is the weather in paris",
}
SHARED_SPEECHES = ("jfk", "harvard")
ANSWERS = (
    "The weather in Paris is mild today, with light rain expected in the evening.",
    "I found three restaurants near you that are open until ten.",
    "The first one is a small Italian place on Baker Street, and the second one serves Korean food.",
    "To boil an egg, bring the water to a gentle simmer, lower the egg in, and wait for seven minutes.",
    "A spider has eight legs, and an octopus has eight arms.",
    "The moon is about three hundred and eighty four thousand kilometres away from the earth.",
    "Once upon a time there was a fox who lived at the edge of a quiet forest.",
    "Every morning the fox walked down to the river, and it saw a heron standing in the reeds.",
    "Your meeting with Susan has been moved to half past four on Thursday.",
    "There are two unread messages, one from your brother and one from the garage.",
    "Photosynthesis is how plants turn light, water and carbon dioxide into sugar and oxygen.",
    "I have set a timer for twelve minutes, and I will let you know when it is done.",
    "The train to Edinburgh leaves from platform nine at a quarter to six.",
    "In nineteen sixty nine two people walked on the moon for the first time.",
    "It usually takes about forty minutes by car, but this morning there are roadworks on the bridge.",
    "The recipe needs two cups of flour, a pinch of salt, and a tablespoon of olive oil.",
)
NEAR_SLOT_SECS = 3.5
WARM_UP_SECS = 3.0
BARGE_IN_SLOT_SECS = 8.0

Audio = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Utterance:
    """Something a user says, at the user's level, without the silence around it."""

    name: str
    words: str
    audio_f32: Audio


@dataclass(frozen=True)
class Material:
    """All voices: `answers` are the agent's sentences by voice."""

    utterances: tuple[Utterance, ...]
    answers: dict[str, tuple[Audio, ...]]


@dataclass(frozen=True)
class Stretch:
    """A part of a trial: `near` (the agent silent), `agent` (it speaks alone) or `barge_in`; samples."""

    kind: str
    start: int
    end: int
    slot_end: int
    utterance: Utterance | None = None


@dataclass(frozen=True)
class Timeline:
    """Both sides of one trial; shape (n_samples,), float32, as they are said."""

    user_f32: Audio
    agent_f32: Audio
    stretches: tuple[Stretch, ...]


def load_material() -> Material:
    """All voices, the same on every run of one machine."""
    words = json.loads((SPEECH / "words.json").read_text())
    utterances = [
        Utterance(name, words[f"{name}.wav"]["words"], _utterance(SPEECH / f"{name}.wav")) for name in UTTERANCES
    ]
    answers = {voice: _espeak(voice) for voice in ESPEAK_VOICES}
    if SHARED.is_dir():
        people = SHARED_UTTERANCES.items()
        utterances += [Utterance(f"shared {name}", text, _utterance(SHARED / f"{name}.wav")) for name, text in people]
        answers[PEOPLE] = tuple(
            _levelled(_voiced(_load(SHARED / f"{name}.wav")), AGENT_DBFS) for name in SHARED_SPEECHES
        )
    return Material(tuple(utterances), answers)


def make_timeline(
    material: Material, voice: str, seed: int, *, agent_secs: float, n_barge_ins: int, n_near: int
) -> Timeline:
    """The user alone, then the agent alone, then the user cutting in now and then."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(material.utterances))
    said = iter([material.utterances[index] for index in np.resize(order, n_near + n_barge_ins)])
    n_samples = _samples(1 + n_near * NEAR_SLOT_SECS + WARM_UP_SECS + agent_secs + n_barge_ins * BARGE_IN_SLOT_SECS)
    user_f32, agent_f32 = np.zeros(n_samples, np.float32), np.zeros(n_samples, np.float32)
    stretches: list[Stretch] = []
    at_secs = 1.0
    for _ in range(n_near):
        stretches.append(_say(user_f32, next(said), "near", at_secs, at_secs + NEAR_SLOT_SECS))
        at_secs += NEAR_SLOT_SECS
    speech_f32 = _speech(material.answers[voice], n_samples - _samples(at_secs), rng)
    agent_f32[_samples(at_secs) :] = speech_f32
    at_secs += WARM_UP_SECS
    alone = (_samples(at_secs), _samples(at_secs + agent_secs))
    stretches.append(Stretch("agent", *alone, alone[1]))
    at_secs += agent_secs
    for _ in range(n_barge_ins):
        onset_secs = at_secs + 1 + rng.uniform(0, 3)
        stretches.append(_say(user_f32, next(said), "barge_in", onset_secs, at_secs + BARGE_IN_SLOT_SECS))
        at_secs += BARGE_IN_SLOT_SECS
    return Timeline(user_f32, agent_f32, tuple(stretches))


def _say(user_f32: Audio, utterance: Utterance, kind: str, at_secs: float, slot_end_secs: float) -> Stretch:
    start, slot_end = _samples(at_secs), _samples(slot_end_secs)
    end = min(start + len(utterance.audio_f32), slot_end)
    user_f32[start:end] += utterance.audio_f32[: end - start]
    return Stretch(kind, start, end, slot_end, utterance)


def _speech(answers: tuple[Audio, ...], n_samples: int, rng: np.random.Generator) -> Audio:
    """One sentence after the other, with the short pauses of a long answer."""
    parts: list[Audio] = []
    while sum(map(len, parts)) < n_samples:
        for index in rng.permutation(len(answers)):
            parts += [answers[index], np.zeros(_samples(rng.uniform(0.05, 0.5)), np.float32)]
    return np.concatenate(parts)[:n_samples].astype(np.float32)


def _espeak(voice: str) -> tuple[Audio, ...]:
    engine = EspeakSynthesizer(voice=voice)
    spoken: list[Audio] = []
    for text in ANSWERS:
        pcm16 = b"".join(chunk.pcm16 for chunk in engine.synthesize(text))
        audio_f32 = np.frombuffer(pcm16, "<i2").astype(np.float32) / 32768
        spoken.append(_levelled(soxr.resample(audio_f32, engine.sample_rate_hz, RATE_HZ), AGENT_DBFS))
    return tuple(spoken)


def _load(path: Any) -> Audio:
    return load_recording(path).audio_s16.astype(np.float32) / np.float32(32768)


def _utterance(path: Any) -> Audio:
    return _levelled(_voiced(_load(path)), USER_DBFS)


def _voiced(audio_f32: Audio) -> Audio:
    """Without what is 40 dB quieter than the loudest block, at both ends."""
    power = np.square(audio_f32[: len(audio_f32) // BLOCK * BLOCK].reshape(-1, BLOCK)).mean(axis=1)
    voiced = np.flatnonzero(power > power.max() / 1e4)
    return audio_f32[voiced[0] * BLOCK : (voiced[-1] + 2) * BLOCK]


def _levelled(audio_f32: Audio, dbfs: float) -> Audio:
    return (audio_f32 * 10 ** ((dbfs - active_dbfs(audio_f32)) / 20)).astype(np.float32)


def _samples(secs: float) -> int:
    return round(secs * 100) * BLOCK
