"""Requests said by a real Piper voice, and heard by the bundled ears.

In:  a request in writing.   Out: the words that the ears hear.

The voice is piper-joe, in the models directory that SOTTO_TEST_WEIGHTS names.
"""

import functools
import os
from pathlib import Path

import numpy as np
import soxr

from agent.engines.candidates import choose
from agent.engines.stt import stt_candidates
from agent.settings.load import Settings
from processors.stt.recognizer import RecognizerEngine
from processors.tts.piper import PiperSynthesizer

EARS_HZ = 16_000
LEAD_SECS, TAIL_SECS = 0.3, 0.5


@functools.cache
def voice() -> PiperSynthesizer:
    """The voice, loaded once."""
    weights = os.environ.get("SOTTO_TEST_WEIGHTS")
    found = sorted((Path(weights) / "tts" / "piper-joe").glob("*.onnx")) if weights else []
    if not found:
        raise SystemExit("piper-joe is not there: SOTTO_TEST_WEIGHTS=$(.ci/weights)")
    return PiperSynthesizer({"piper-joe": found[0]})


@functools.cache
def ears() -> RecognizerEngine:
    """The bundled ears, loaded once."""
    settings = Settings.model_validate({"models_dir": "/nonexistent", "stt": {"engine": "whisper"}})
    return choose("stt", "whisper", stt_candidates(settings)).loaded


def said_s16(text: str) -> np.ndarray:
    """A text as it is said, between short silences; shape (n_samples,), 16 kHz, int16."""
    pcm16 = b"".join(chunk.pcm16 for chunk in voice().synthesize(text))
    said_f32 = np.frombuffer(pcm16, np.int16).astype(np.float32) / 32768
    audio_f32 = soxr.resample(said_f32, voice().sample_rate_hz, EARS_HZ)
    padded = np.pad(audio_f32, (round(LEAD_SECS * EARS_HZ), round(TAIL_SECS * EARS_HZ)))
    return (np.clip(padded, -1, 1) * 32767).astype(np.int16)


def heard(text: str) -> str:
    """What the bundled ears hear of a text that is said."""
    recognizer = ears().recognizer()
    recognizer.accept(said_s16(text).tobytes())
    return recognizer.finish().text
