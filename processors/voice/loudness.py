"""Gain on PCM, ramped so that a change of level makes no click."""

import numpy as np


def gain_of(level_db: float) -> float:
    """The factor of a change in level."""
    return 10.0 ** (level_db / 20.0)


# A change of level takes this many samples: 5 ms at 24 kHz.
RAMP_SAMPLES = 120


def scaled(pcm16: bytes, from_gain: float, to_gain: float) -> bytes:
    """Change the level of sound, from one gain at its first sample to another within RAMP_SAMPLES.

    Args:
        pcm16: Little-endian s16, one channel.
        from_gain: 0 to 1.
        to_gain: 0 to 1.

    Returns:
        As many samples as came in; the very same bytes where both gains are 1.
    """
    if from_gain == to_gain == 1.0:
        return pcm16
    audio_s16 = np.frombuffer(pcm16, "<i2")
    gains = np.full(len(audio_s16), to_gain)
    ramp = min(RAMP_SAMPLES, len(gains))
    gains[:ramp] = np.linspace(from_gain, to_gain, ramp)
    return np.round(audio_s16 * gains).astype("<i2").tobytes()
