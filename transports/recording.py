"""Recordings: any sound file in, 16 kHz mono out; and the stereo WAV that a conversation leaves behind.

In:  anything libsndfile or PyAV decodes, any rate, any channels.   Out: shape (n_samples,), int16, 16 kHz.
Of a recorded conversation only the user's side is taken: the agent answers anew.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from transports.errors import RecordingError
from transports.sound_file import SAMPLE_RATE_HZ, decode_sound
from transports.stereo_file import CONVERSATION_COMMENT, is_conversation

MAX_DURATION_SECS = 3600.0
# A 10 ms block counts as voiced down to this far below the loudest one, and never below the floor.
VOICED_RANGE_DB = 30.0
VOICED_FLOOR_DBFS = -65.0
_BLOCK_SAMPLES = SAMPLE_RATE_HZ // 100

Pcm16 = np.ndarray[Any, np.dtype[np.int16]]


@dataclass(frozen=True)
class Recording:
    """Speech to be said by the user's side.

    Attributes:
        audio_s16: shape (n_samples,), int16, 16 kHz mono.
        voiced_end_secs: Where the last voiced 10 ms block ends.
    """

    path: Path
    audio_s16: Pcm16
    voiced_end_secs: float

    @property
    def duration_secs(self) -> float:
        """The length of the recording."""
        return len(self.audio_s16) / SAMPLE_RATE_HZ


def load_recording(path: Path, *, gain_db: float = 0.0) -> Recording:
    """Decode a sound file.

    Args:
        path: The file.
        gain_db: Added to its level; samples are clipped, never wrapped.

    Raises:
        RecordingError: The file is missing, empty, too long or not sound; the message names it.
    """
    try:
        is_there = path.is_file()
    except (OSError, ValueError):
        # A name that no file can have.
        is_there = False
    if not is_there:
        raise RecordingError(f"recording not found: {path}")
    left_only = is_conversation(path)
    audio_s16 = decode_sound(path, max_secs=MAX_DURATION_SECS, name=f"recording {path}", left_only=left_only)
    if gain_db:
        audio_s16 = np.clip(np.round(audio_s16 * 10 ** (gain_db / 20)), -32768, 32767).astype(np.int16)
    return Recording(path, audio_s16, voiced_end_secs(audio_s16))


def voiced_end_secs(audio_s16: Pcm16) -> float:
    """Where the last voiced 10 ms block of 16 kHz sound ends; the whole length if nothing is voiced."""
    n_blocks = len(audio_s16) // _BLOCK_SAMPLES
    duration_secs = len(audio_s16) / SAMPLE_RATE_HZ
    if n_blocks == 0:
        return duration_secs
    blocks = audio_s16[: n_blocks * _BLOCK_SAMPLES].reshape(n_blocks, _BLOCK_SAMPLES).astype(np.float64)
    level_db = 20 * np.log10(np.sqrt((blocks**2).mean(axis=1)) / 32768 + 1e-9)
    voiced = np.flatnonzero(level_db >= max(float(level_db.max()) - VOICED_RANGE_DB, VOICED_FLOOR_DBFS))
    if voiced.size == 0:
        return duration_secs
    return float(voiced[-1] + 1) * _BLOCK_SAMPLES / SAMPLE_RATE_HZ


def write_stereo(path: Path, left_s16: Pcm16, left_rate_hz: int, right_s16: Pcm16, right_rate_hz: int) -> None:
    """Write both sides of a conversation on one timeline, 16-bit, at the right side's rate.

    Args:
        path: The WAV file to write.
        left_s16: What the user's side sent; sample 0 is time 0.
        left_rate_hz: Its rate.
        right_s16: What the agent played; sample 0 is time 0.
        right_rate_hz: Its rate.

    Raises:
        RecordingError: The file cannot be written.
    """
    left_s16 = soxr.resample(left_s16, left_rate_hz, right_rate_hz)
    n_samples = max(len(left_s16), len(right_s16))
    stereo_s16 = np.zeros((n_samples, 2), np.int16)
    stereo_s16[: len(left_s16), 0] = left_s16
    stereo_s16[: len(right_s16), 1] = right_s16
    try:
        with soundfile.SoundFile(path, "w", right_rate_hz, 2, "PCM_16", format="WAV") as wav:
            wav.comment = CONVERSATION_COMMENT
            wav.write(stereo_s16)
    except (OSError, soundfile.LibsndfileError) as error:
        raise RecordingError(f"recording cannot be written: {path}: {error}") from error
