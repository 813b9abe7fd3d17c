"""Samples as the model libraries want them, and how loud they are."""

from typing import Any

import numpy as np

from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16

# RMS of speech between two words, at the level that speech is raised to.
QUIET_DBFS = -45.0
_BLOCK_SAMPLES = SAMPLE_RATE_HZ * 30 // 1000


def as_f32(audio_s16: Pcm16) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The same sound, float32 in [-1, 1)."""
    return audio_s16.astype(np.float32) / np.float32(32768.0)


def speech_level_dbfs(audio_s16: Pcm16) -> float:
    """The level that the loudest tenth of its 30 ms blocks reach, RMS; -100 for silence.

    Args:
        audio_s16: shape (n_samples,), int16, 16 kHz.
    """
    n_blocks = len(audio_s16) // _BLOCK_SAMPLES
    if n_blocks == 0:
        return -100.0
    blocks = audio_s16[: n_blocks * _BLOCK_SAMPLES].reshape(n_blocks, _BLOCK_SAMPLES).astype(np.float64)
    loud = float(np.percentile(np.square(blocks).mean(axis=1), 90))
    return max(-100.0, 10 * float(np.log10(loud / 32768**2 + 1e-12)))


def is_quiet(pcm16: bytes) -> bool:
    """Whether little-endian s16 sound holds no voice to speak of."""
    audio_f64 = np.frombuffer(pcm16, "<i2").astype(np.float64)
    return audio_f64.size == 0 or float(np.square(audio_f64).mean()) < 32768**2 * 10 ** (QUIET_DBFS / 10)
