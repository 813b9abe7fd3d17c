"""The sound just before speech was noticed, which belongs to it.

In:  16 kHz mono s16 while nobody is said to speak.   Out: its end, when somebody is.
"""

from processors.stt.recognizer import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ

# Voice activity is reported this much after speech began at the latest; recognizers want some silence before it.
PRE_ROLL_SECS = 0.6
# A "no" or "so" too short for voice activity, and the pause after it, belong to the speech that follows.
LONGEST_SECS = 1.4


class PreRoll:
    """Keeps the latest sound, and more of it where a word may have been missed."""

    def __init__(self) -> None:
        self._pcm16 = bytearray()
        self._n_bytes = _bytes(PRE_ROLL_SECS)
        self._most_bytes = _bytes(LONGEST_SECS)
        # Since the first sign of voice that was none, or not yet; None where there was no sign of late.
        self._suspected_bytes: int | None = None

    def add(self, pcm16: bytes) -> None:
        """Keep this; what is too old goes."""
        n_bytes = self._n_bytes
        self._pcm16 += pcm16
        if self._suspected_bytes is not None:
            self._suspected_bytes += len(pcm16)
            if self._suspected_bytes > self._most_bytes:
                self._suspected_bytes = None
            else:
                n_bytes = max(n_bytes, self._suspected_bytes)
        del self._pcm16[:-n_bytes]

    def put_back(self, pcm16: bytes) -> None:
        """Silence at the end of speech is what comes before the next."""
        self._pcm16 += pcm16

    def take(self) -> bytes:
        """What belongs to the speech that begins; nothing is kept of it."""
        taken = bytes(self._pcm16)
        self.clear()
        self.trust()
        return taken

    def clear(self) -> None:
        """Forget the sound."""
        self._pcm16.clear()

    def suspect(self) -> None:
        """There was a sign of voice: from here on more is kept, for a while."""
        if self._suspected_bytes is None:
            self._suspected_bytes = self._n_bytes // 2

    def trust(self) -> None:
        """The sign of voice meant nothing, or has become speech."""
        self._suspected_bytes = None


def _bytes(duration_secs: float) -> int:
    return int(duration_secs * SAMPLE_RATE_HZ) * BYTES_PER_SAMPLE
