"""The short sound that says: I am listening."""

import numpy as np

from processors.wake.detector import BYTES_PER_SAMPLE

# A fifth upwards, short and quiet.
NOTES_HZ = (659.3, 987.8)
NOTE_SECS = 0.09
SOUND_DBFS = -24.0
# With silence behind it: a whole number of frames of any transport.
SOUND_SECS = 0.24


def awake_sound(rate_hz: int) -> bytes:
    """Two short notes upwards.

    Args:
        rate_hz: Of the sound.

    Returns:
        Little-endian s16 mono, SOUND_SECS long, SOUND_DBFS at its loudest.
    """
    at_secs = np.arange(round(NOTE_SECS * rate_hz)) / rate_hz
    shape = np.minimum(at_secs / 0.008, 1.0) * np.minimum((NOTE_SECS - at_secs) / 0.03, 1.0)
    notes = np.concatenate([np.sin(2 * np.pi * note_hz * at_secs) * shape for note_hz in NOTES_HZ])
    sound_s16 = np.round(32767 * 10 ** (SOUND_DBFS / 20) * notes).astype("<i2")
    return sound_s16.tobytes().ljust(round(SOUND_SECS * rate_hz) * BYTES_PER_SAMPLE, b"\0")
