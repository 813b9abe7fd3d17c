"""Sounds that a test makes: coughs, knocks, hums; voices come from espeak-ng, which is bundled.

espeak-ng says the same sentence with other noise and at another pace after it has said others, and nothing sets it
back. Each sentence is said by a process of its own, so that a test hears the same samples alone and among all others.
"""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from agent.commands.script import Step
from processors.tts.espeak import SAMPLE_RATE_HZ as VOICE_RATE_HZ
from processors.tts.synthesizer import SpeechChunk, SpokenWord
from transports.recording import SAMPLE_RATE_HZ, Recording, voiced_end_secs

Pcm16 = np.ndarray[Any, np.dtype[np.int16]]

_SAY_ONCE = """
import json, sys
from dataclasses import astuple
from processors.tts.espeak import EspeakSynthesizer
voice, speed, text = sys.argv[1:]
chunks = list(EspeakSynthesizer(voice=voice, speed=float(speed)).synthesize(text))
json.dump([[chunk.pcm16.hex(), [astuple(word) for word in chunk.words]] for chunk in chunks], sys.stdout)
"""


def recording(name: str, audio_s16: Pcm16) -> Recording:
    """Sound as a recording."""
    return Recording(Path(name), audio_s16, voiced_end_secs(audio_s16))


@cache
def said_afresh(text: str, voice_name: str = "en-us", speed: float = 1.0) -> tuple[SpeechChunk, ...]:
    """A sentence by an espeak-ng that has said nothing before; mono at `VOICE_RATE_HZ`.

    Args:
        text: What is said.
        voice_name: Of espeak-ng.
        speed: 1 is natural.
    """
    command = [sys.executable, "-c", _SAY_ONCE, voice_name, str(speed), text]
    said = subprocess.run(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, check=True)
    return tuple(
        SpeechChunk(bytes.fromhex(pcm16), tuple(SpokenWord(*word) for word in words))
        for pcm16, words in json.loads(said.stdout)
    )


def voice(text: str, *, level_dbfs: float = -20.0, speed: float = 1.0) -> Recording:
    """A sentence, said by espeak-ng.

    Args:
        text: English.
        level_dbfs: RMS of the whole.
        speed: 1 is natural.
    """
    chunks = said_afresh(text, speed=speed)
    audio_s16 = np.frombuffer(b"".join(chunk.pcm16 for chunk in chunks), "<i2")
    audio_f32 = soxr.resample(audio_s16.astype(np.float32), VOICE_RATE_HZ, SAMPLE_RATE_HZ)
    return recording(f"voice: {text}", _at_level(np.asarray(audio_f32), level_dbfs))


def with_pause(*parts: Recording, pause_secs: float) -> Recording:
    """Recordings one after another with silence between them."""
    silence = np.zeros(round(pause_secs * SAMPLE_RATE_HZ), np.int16)
    pieces = [piece for part in parts for piece in (silence, part.audio_s16)][1:]
    return recording(", ".join(str(part.path) for part in parts), np.concatenate(pieces))


def cough(duration_secs: float = 0.35, *, seed: int = 1) -> Recording:
    """A burst of noise that swells in 10 ms and dies away."""
    at = np.arange(round(duration_secs * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    noise = np.random.default_rng(seed).standard_normal(len(at))
    shape = np.minimum(at / 0.01, 1.0) * np.exp(-at * 9.0)
    return recording("cough", _at_level((noise * shape).astype(np.float32), -22.0))


def then(sound: Recording, **when: Any) -> Step:
    """A step that says it."""
    return Step(sound, **when)


def _at_level(audio_f32: np.ndarray[Any, np.dtype[np.float32]], level_dbfs: float) -> Pcm16:
    rms = float(np.sqrt(np.square(audio_f32.astype(np.float64)).mean())) or 1.0
    scaled = audio_f32 * (32768.0 * 10 ** (level_dbfs / 20) / rms)
    return np.clip(np.round(scaled), -32768, 32767).astype(np.int16)
