"""What the agent is asked: recordings of people, where they lie beside the repository, and good synthetic voices.

In:  a models directory with tts/kokoro-int8 and tts/piper-joe.   Out: 16 kHz recordings with their words.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import soundfile
import soxr

from processors.text.bare_words import bare
from tests.bench.windows.clips import CUTS, PEOPLE, WHOLE
from transports.recording import Pcm16, load_recording
from transports.sound_file import SAMPLE_RATE_HZ

# Spelt in one way only, so that another spelling is a word misheard.
OF_PIPER = (
    "What is the capital of Germany?",
    "How far away is the moon?",
    "Why is the sky blue?",
    "Tell me a short story about a dragon.",
    "What should I cook with rice and beans?",
    "How long does it take to boil an egg?",
    "What is the difference between a lake and a pond?",
)
OF_KOKORO = (
    ("af_heart", "How are you today?"),
    ("am_michael", "Is it going to rain tomorrow morning?"),
    ("bf_emma", "Who wrote that book about the white whale?"),
    ("am_fenrir", "How many legs does a spider have?"),
    ("af_bella", "Could you tell me how to get to the train station from here?"),
    ("bm_george", "What is the tallest mountain in the world?"),
    ("am_puck", "Give me three ideas for a birthday present for my sister."),
)
VOICE_PEAK = 0.5
MARGIN_SECS = 0.05


@dataclass(frozen=True)
class Question:
    """One recording.

    Attributes:
        path: A 16 kHz WAV.
        source: people, piper or kokoro.
        words: What is said, bare.
    """

    path: Path
    source: str
    words: str


def load_questions(models: Path, folder: Path, people: Path = PEOPLE) -> list[Question]:
    """The questions, those of people and of voices by turns.

    Args:
        models: Holds the voices' weights.
        folder: Where the recordings are kept; made there first, since synthesis takes a minute.
        people: Recordings of people; without them there are 17 fewer.
    """
    listing = folder / "questions.json"
    if not listing.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        facts = []
        for number, (source, words, audio_s16) in enumerate(_by_turns(models, people)):
            path = folder / f"{number:02}-{source}.wav"
            soundfile.write(path, audio_s16, SAMPLE_RATE_HZ)
            facts.append({"name": path.name, "source": source, "words": words})
        listing.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    facts = json.loads(listing.read_text(encoding="utf-8"))
    return [Question(folder / fact["name"], fact["source"], fact["words"]) for fact in facts]


def _by_turns(models: Path, people: Path) -> Iterator[tuple[str, str, Pcm16]]:
    tts = models / "tts"
    for group in zip_longest(_people(people), _piper(tts / "piper-joe"), _kokoro(tts / "kokoro-int8")):
        yield from (one for one in group if one)


def _people(folder: Path) -> Iterator[tuple[str, str, Pcm16]]:
    if not folder.is_dir():
        return
    # A question first: a short run has one of people, too.
    for name in sorted(WHOLE, key=lambda name: name != "weather_question"):
        yield "people", WHOLE[name], load_recording(folder / f"{name}.wav").audio_s16
    for name, pieces in CUTS.items():
        audio_s16 = load_recording(folder / f"{name}.wav").audio_s16
        ends_secs = [start for start, _ in pieces[1:]] + [len(audio_s16) / SAMPLE_RATE_HZ]
        for (start_secs, words), end_secs in zip(pieces, ends_secs, strict=True):
            yield "people", words, audio_s16[int(start_secs * SAMPLE_RATE_HZ) : int(end_secs * SAMPLE_RATE_HZ)]


def _piper(folder: Path) -> Iterator[tuple[str, str, Pcm16]]:
    from processors.tts.piper import PiperSynthesizer

    voice = PiperSynthesizer({folder.name: next(folder.glob("*.onnx"))})
    for text in OF_PIPER:
        pcm16 = b"".join(chunk.pcm16 for chunk in voice.synthesize(text))
        audio_f32 = np.frombuffer(pcm16, "<i2").astype(np.float32) / np.float32(32768)
        yield "piper", bare(text), _recorded(audio_f32, voice.sample_rate_hz)


def _kokoro(folder: Path) -> Iterator[tuple[str, str, Pcm16]]:
    from kokoro_onnx import Kokoro

    model = Kokoro(str(next(folder.glob("*.onnx"))), str(next(folder.glob("voices*.bin"))))
    for voice, text in OF_KOKORO:
        audio_f32, rate_hz = model.create(text, voice=voice, lang="en-gb" if voice[0] == "b" else "en-us")
        yield "kokoro", bare(text), _recorded(np.asarray(audio_f32, np.float32), rate_hz)


def _recorded(audio_f32: np.ndarray, rate_hz: int) -> Pcm16:
    """At 16 kHz and one level, with 50 ms around what is within 40 dB of the peak."""
    resampled = soxr.resample(audio_f32, rate_hz, SAMPLE_RATE_HZ)
    loud = np.flatnonzero(np.abs(resampled) > np.abs(resampled).max() * 0.01)
    margin = int(MARGIN_SECS * SAMPLE_RATE_HZ)
    kept = resampled[max(0, loud[0] - margin) : loud[-1] + margin]
    return (kept / np.abs(kept).max() * VOICE_PEAK * 32767).astype(np.int16)
