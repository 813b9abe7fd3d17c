"""Whether this machine is fast enough for a Nemotron model.

In:  a loaded model.   Out: its real-time factor, and what to tell the user about it.
"""

import math
import statistics
import time

import numpy as np

from processors.stt.nemotron_streams import FRAME_SAMPLES, AudioF32, NemotronStreams
from processors.stt.recognizer import SAMPLE_RATE_HZ

# With less room than this, a busy moment puts the recognizer behind the speaker.
MAX_REAL_TIME_FACTOR = 0.7
SAFE_CHUNK_MS = 560
MEASURED_SECS = 2.0
MEASURED_STEPS = 3  # at least
# The first steps are slower than all that follow.
UNTIMED_STEPS = 1


def real_time_factor(streams: NemotronStreams, language: str | None) -> float:
    """Seconds of computing for one second of speech, by the median step.

    Raises:
        EngineError: The model failed.
    """
    chunk_samples = streams.export.chunk_frames * FRAME_SAMPLES
    n_steps = UNTIMED_STEPS + max(MEASURED_STEPS, math.ceil(MEASURED_SECS * SAMPLE_RATE_HZ / chunk_samples))
    noise_f32 = speech_shaped_noise((n_steps + 1) * chunk_samples)
    stream = streams.start(language)
    took_secs = []
    for start in range(0, len(noise_f32), chunk_samples):
        stream.accept_waveform(SAMPLE_RATE_HZ, noise_f32[start : start + chunk_samples])
        if streams.has_chunk(stream):
            started_secs = time.perf_counter()
            streams.decode(stream)
            took_secs.append(time.perf_counter() - started_secs)
    return statistics.median(took_secs[UNTIMED_STEPS:]) * SAMPLE_RATE_HZ / chunk_samples


def speed_note(real_time_factor: float, chunk_ms: int) -> str | None:
    """What to tell the user when the machine is too slow for the model, else None.

    Args:
        real_time_factor: Seconds of computing for one second of speech.
        chunk_ms: What the model takes in at a step; longer ones cost less for each second.
    """
    if real_time_factor <= MAX_REAL_TIME_FACTOR:
        return None
    longer = f"stt.chunk_ms = {SAFE_CHUNK_MS} or " if chunk_ms < SAFE_CHUNK_MS else ""
    return (
        f"nemotron needs {real_time_factor:.2f} s of computing for each second of speech in chunks of {chunk_ms} ms, "
        f"more than {MAX_REAL_TIME_FACTOR} is too slow for conversation: choose {longer}stt.engine = whisper"
    )


def speech_shaped_noise(n_samples: int) -> AudioF32:
    """Noise with the tilt and the syllable rhythm of speech; shape (n_samples,), float32 in [-1, 1], 16 kHz."""
    white = np.random.default_rng(0).standard_normal(n_samples)
    tilted = np.convolve(white, np.exp(-np.arange(16) / 4), "same")
    syllables = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * np.arange(n_samples) / SAMPLE_RATE_HZ)  # 4 Hz
    shaped = tilted * syllables
    return (0.5 * shaped / np.abs(shaped).max()).astype(np.float32)
