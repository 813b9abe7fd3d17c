"""The people of the bench: synthesised voices, whatever this machine has.

In:  text.   Out: 16 kHz int16 speech with the time of each word.
espeak-ng comes with the project; flite and festival are used where their programs are on PATH.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soxr

from processors.tts.espeak import SAMPLE_RATE_HZ as ESPEAK_RATE_HZ
from processors.tts.espeak import EspeakSynthesizer
from processors.tts.synthesizer import SpokenWord
from processors.tts.word_times import spread_words
from transports.recording import load_recording, voiced_end_secs

RATE_HZ = 16_000
PEAK = 0.5  # -6 dBFS
PROGRAMS = {"flite": "flite", "festival": "text2wave"}
# How far from a word's reported start the quietest place is looked for.
GAP_SEARCH_SECS = 0.04
GAP_WINDOW_SAMPLES = RATE_HZ // 200

Pcm16 = np.ndarray[Any, np.dtype[np.int16]]


@dataclass(frozen=True)
class Voice:
    """Who speaks.

    Attributes:
        engine: `flite` and `festival` only where `installed` names them.
        name: The engine's name of the voice; festival takes its default.
        speed: 1 is the natural pace; only espeak takes another.
    """

    engine: Literal["espeak", "flite", "festival"]
    name: str
    speed: float = 1.0

    def __str__(self) -> str:
        return f"{self.engine} {self.name}"


@dataclass(frozen=True)
class Spoken:
    """Speech.

    Attributes:
        audio_s16: shape (n_samples,), int16, 16 kHz.
        words: Times count from its first sample.
    """

    audio_s16: Pcm16
    words: tuple[SpokenWord, ...]


ESPEAK_VOICES = (
    Voice("espeak", "en-us"),
    Voice("espeak", "en-us+f3", 1.05),
    Voice("espeak", "en-gb-scotland", 0.95),
    Voice("espeak", "en-us+edward", 0.9),
    Voice("espeak", "en-gb-x-rp+f2"),
    Voice("espeak", "en-us+m3", 1.15),
)
OTHER_VOICES = (
    Voice("flite", "slt"),
    Voice("festival", "default"),
    Voice("flite", "rms"),
    Voice("flite", "awb"),
)


@cache
def installed() -> tuple[str, ...]:
    """The engines of this machine that speak; festival is there without a voice, too."""
    return ("espeak", *(engine for engine, program in PROGRAMS.items() if _speaks(program)))


def _speaks(program: str) -> bool:
    if not shutil.which(program):
        return False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        text = ["-t", "one"] if program == "flite" else []
        spoken = subprocess.run([program, *text, "-o", str(path)], input=b"one", capture_output=True, check=False)
        return spoken.returncode == 0 and path.is_file() and path.stat().st_size > RATE_HZ // 10


def usable_voices() -> list[Voice]:
    """All voices of this machine, those of different engines by turns."""
    others = [voice for voice in OTHER_VOICES if voice.engine in installed()]
    voices: list[Voice] = []
    for index, voice in enumerate(ESPEAK_VOICES):
        voices += [voice, *others[index : index + 1]]
    return voices


def speak(voice: Voice, text: str, folder: Path) -> Spoken:
    """Say a text.

    Args:
        voice: Who says it.
        text: What is said.
        folder: Where a program may write its file.

    Raises:
        subprocess.CalledProcessError: The voice's program failed.
    """
    if voice.engine == "espeak":
        chunks = list(EspeakSynthesizer(voice=voice.name, speed=voice.speed).synthesize(text))
        audio_s16 = np.frombuffer(b"".join(chunk.pcm16 for chunk in chunks), "<i2")
        words = tuple(word for chunk in chunks for word in chunk.words)
        return Spoken(at_peak(soxr.resample(audio_s16, ESPEAK_RATE_HZ, RATE_HZ)), words)
    path = folder / "spoken.wav"
    program = PROGRAMS[voice.engine]
    if voice.engine == "flite":
        subprocess.run([program, "-voice", voice.name, "-t", text, "-o", str(path)], check=True)
    else:
        subprocess.run([program, "-o", str(path)], input=text.encode(), check=True)
    audio_s16 = at_peak(load_recording(path).audio_s16)
    return Spoken(audio_s16, spread(text, audio_s16))


def spread(text: str, audio_s16: Pcm16) -> tuple[SpokenWord, ...]:
    """Word times where nobody gives them: in proportion to the words' letters, over what is voiced."""
    words = text.split()
    start_secs, end_secs = voiced_span_secs(audio_s16)
    return spread_words(words, [len(word) + 1 for word in words], start_secs, end_secs)


def voiced_span_secs(audio_s16: Pcm16) -> tuple[float, float]:
    """Where the voice starts and ends, in blocks of 10 ms."""
    backwards_secs = voiced_end_secs(audio_s16[::-1])
    return max(0.0, len(audio_s16) / RATE_HZ - backwards_secs), voiced_end_secs(audio_s16)


def at_peak(audio_s16: Pcm16) -> Pcm16:
    """The same sound with its peak at PEAK."""
    peak = max(1, int(np.abs(audio_s16.astype(np.int32)).max()))
    return np.round(audio_s16 * (PEAK * 32768 / peak)).astype(np.int16)


def with_pauses(spoken: Spoken, pauses_secs: dict[int, float]) -> tuple[Spoken, tuple[tuple[float, float], ...]]:
    """Put silence between words.

    Args:
        spoken: Fluent speech.
        pauses_secs: By the index of the word before which the speaker pauses.

    Returns:
        The hesitating speech, and where its pauses start and end.
    """
    pieces: list[Pcm16] = []
    words: list[SpokenWord] = []
    pauses: list[tuple[float, float]] = []
    at, late_secs = 0, 0.0
    for index, word in enumerate(spoken.words):
        if index in pauses_secs:
            gap = quietest_sample(spoken.audio_s16, round(word.start_secs * RATE_HZ))
            start_secs = gap / RATE_HZ + late_secs
            late_secs += pauses_secs[index]
            pauses.append((start_secs, start_secs + pauses_secs[index]))
            pieces += [spoken.audio_s16[at:gap], np.zeros(round(pauses_secs[index] * RATE_HZ), np.int16)]
            at = gap
            if words:
                last = words.pop()
                words.append(SpokenWord(last.text, last.start_secs, min(last.end_secs, start_secs)))
        words.append(SpokenWord(word.text, word.start_secs + late_secs, word.end_secs + late_secs))
    pieces.append(spoken.audio_s16[at:])
    return Spoken(np.concatenate(pieces), tuple(words)), tuple(pauses)


def quietest_sample(audio_s16: Pcm16, near: int) -> int:
    """The middle of the quietest 5 ms around a sample."""
    reach = round(GAP_SEARCH_SECS * RATE_HZ)
    first = max(0, near - reach)
    energy = np.convolve(audio_s16[first : near + reach].astype(np.float64) ** 2, np.ones(GAP_WINDOW_SAMPLES), "same")
    return first + int(energy.argmin())
