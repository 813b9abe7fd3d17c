"""Every voice comes out equally loud, without clipping.

In:  speech as a model makes it, float32.   Out: the same at a speech level of -20 dBFS.

Models' voices differ by 8 dB and more (Kokoro-82M), and some exceed full scale. The level of a voice is learned from
what it says and soon stands still, so that the gain is one number and makes no pumping.
"""

import threading
from typing import Any

import numpy as np

TARGET_DBFS = -20.0
_FRAME_SECS = 0.02
# What is this much below the mean of all is a pause; the margin of ITU-T P.56.
_PAUSE_MARGIN_DB = 15.9
# After so much speech the level stands.
_LEARNED_SECS = 20.0
# So much of an ordinary voice is taken for granted, lest a single word decide.
_ASSUMED_SECS = 0.1
_ASSUMED_DBFS = -22.0
_MAX_GAIN = 10.0
# Up to here sound stays as it is; peaks above are bent below full scale.
_KNEE = 0.7
_CEILING = 0.98

Audio = np.ndarray[Any, np.dtype[np.float32]]


class SpeechLevel:
    """The level of one voice, shared by all who speak with it.

    Args:
        sample_rate_hz: Of its sound.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._frame_samples = round(_FRAME_SECS * sample_rate_hz)
        self._max_frames = round(_LEARNED_SECS / _FRAME_SECS)
        self._powers = np.zeros(0)
        self._lock = threading.Lock()

    def learn(self, audio_f32: Audio) -> None:
        """Take note of speech as the model made it, shape (n_samples,)."""
        if len(self._powers) >= self._max_frames:
            return
        powers = _frame_powers(audio_f32, self._frame_samples)
        with self._lock:
            self._powers = np.concatenate([self._powers, powers[powers > 0.0]])

    @property
    def is_known(self) -> bool:
        """Whether it has been heard at all."""
        return len(self._powers) > 0

    def gain(self) -> float:
        """The factor that brings the voice to the target, by what has been heard of it so far."""
        spoken = _spoken(self._powers)
        assumed_frames = _ASSUMED_SECS / _FRAME_SECS
        heard_dbfs = 10.0 * np.log10(spoken.mean()) if len(spoken) else 0.0
        level_dbfs = (heard_dbfs * len(spoken) + _ASSUMED_DBFS * assumed_frames) / (len(spoken) + assumed_frames)
        return float(min(10.0 ** ((TARGET_DBFS - level_dbfs) / 20.0), _MAX_GAIN))


def speech_level_dbfs(audio_f32: Audio, sample_rate_hz: int) -> float:
    """The level of speech without its pauses; -inf for silence.

    Args:
        audio_f32: shape (n_samples,), full scale is 1.
        sample_rate_hz: Its rate.
    """
    spoken = _spoken(_frame_powers(audio_f32, round(_FRAME_SECS * sample_rate_hz)))
    return float(10.0 * np.log10(spoken.mean())) if len(spoken) else float("-inf")


def at_gain(audio_f32: Audio, gain: float) -> bytes:
    """Speech at another level as wire audio: peaks above 0.7 are bent so that none exceeds 0.98.

    Args:
        audio_f32: shape (n_samples,).
        gain: The factor.

    Returns:
        Little-endian s16, length 2 * n_samples.
    """
    scaled = audio_f32 * gain
    room = _CEILING - _KNEE
    bent = _KNEE + room * np.tanh((np.abs(scaled) - _KNEE) / room)
    bounded = np.where(np.abs(scaled) > _KNEE, np.copysign(bent, scaled), scaled)
    return np.round(bounded * 32767.0).astype("<i2").tobytes()


def _frame_powers(audio_f32: Audio, frame_samples: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    n_frames = len(audio_f32) // frame_samples
    frames = np.asarray(audio_f32[: n_frames * frame_samples], np.float64).reshape(n_frames, frame_samples)
    return np.square(frames).mean(axis=1)


def _spoken(powers: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return powers[powers > powers.mean() * 10.0 ** (-_PAUSE_MARGIN_DB / 10.0)] if len(powers) else powers
