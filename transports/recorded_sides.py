"""The two sides of a conversation on their way into a recording: each puts its sound into its place in time.

In:  sound as it comes or leaves, and when.   Out: samples in order, without holes, silence where there was nothing.
All times are seconds since the first sample of the user's side.
"""

import math
from collections import deque

BYTES_PER_SAMPLE = 2
# Closer than this to its place, sound is joined to what was before it: clocks drift, and messages come unevenly.
INPUT_TOLERANCE_SECS = 0.03
OUTPUT_TOLERANCE_SECS = 0.06


class InputSide:
    """What the user's side sent.

    A network holds sound back and loses some. What it held back comes later, all at once, and belongs right behind
    what was before; what was lost never comes. So nothing is judged before `take` says that it is old enough: a hole is
    one only if nothing that came since has made up for it.

    Args:
        rate_hz: Of the sound.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        # What has come: when it ended, the samples, and how many samples later than if nothing were ever lost.
        self._waiting: deque[tuple[float, bytes, int]] = deque()
        # Of those, each that is less late than all that came after it; the first is the least of all.
        self._least_late: deque[int] = deque()
        self._n_came = 0
        # Samples of silence put in, less those left out.
        self._n_put_in = 0
        self._n_placed = 0
        self._tolerance_samples = round(INPUT_TOLERANCE_SECS * rate_hz)

    def add(self, end_secs: float, pcm16: bytes) -> None:
        """Sound came, and ended then."""
        self._n_came += len(pcm16) // BYTES_PER_SAMPLE
        late = round(end_secs * self._rate_hz) - self._n_came
        while self._least_late and self._least_late[-1] > late:
            self._least_late.pop()
        self._least_late.append(late)
        self._waiting.append((end_secs, pcm16, late))

    def take(self, until_secs: float) -> bytes:
        """Everything that came until then, in its place; silence as far as nothing came at all.

        Args:
            until_secs: Long enough ago that what a network held back then has come.
        """
        placed = bytearray()
        while self._waiting and self._waiting[0][0] <= until_secs:
            placed += self._place_next()
        self._n_placed += len(placed) // BYTES_PER_SAMPLE
        if not self._waiting and math.isfinite(until_secs):
            n_missing = round(until_secs * self._rate_hz) - self._n_placed
            if n_missing > self._tolerance_samples:
                placed += self._silence(n_missing)
                self._n_placed += n_missing
        return bytes(placed)

    def _place_next(self) -> bytes:
        n_late = self._least_late[0] - self._n_put_in
        _, pcm16, late = self._waiting.popleft()
        if late == self._least_late[0]:
            self._least_late.popleft()
        if n_late > self._tolerance_samples:
            return self._silence(n_late) + pcm16
        if n_late < -self._tolerance_samples:
            # More came than there was time for: the client's clock is fast, or its place was taken for a hole.
            n_left_out = min(-n_late, len(pcm16) // BYTES_PER_SAMPLE)
            self._n_put_in -= n_left_out
            return pcm16[n_left_out * BYTES_PER_SAMPLE :]
        return pcm16

    def _silence(self, n_samples: int) -> bytes:
        self._n_put_in += n_samples
        return bytes(n_samples * BYTES_PER_SAMPLE)


class OutputSide:
    """What the agent played.

    Args:
        rate_hz: Of the sound.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._n_taken = 0
        self._waiting = bytearray()

    @property
    def n_waiting(self) -> int:
        """Samples that have not been taken."""
        return len(self._waiting) // BYTES_PER_SAMPLE

    def add(self, start_secs: float, pcm16: bytes, *, exactly: bool) -> None:
        """Sound is played from then on.

        Args:
            start_secs: When its first sample sounds; what is still sounding then goes first.
            pcm16: The sound.
            exactly: Whether that is known to the sample; else it is joined to what has just been played.
        """
        n_gap = round(start_secs * self._rate_hz) - self._n_taken - self.n_waiting
        if n_gap > (0 if exactly else OUTPUT_TOLERANCE_SECS * self._rate_hz):
            self._waiting += bytes(n_gap * BYTES_PER_SAMPLE)
        self._waiting += pcm16

    def cut(self, at_secs: float) -> None:
        """What would sound after that is not played."""
        n_kept = max(0, round(at_secs * self._rate_hz) - self._n_taken)
        del self._waiting[n_kept * BYTES_PER_SAMPLE :]

    def take(self, n_samples: int) -> bytes:
        """The next so many samples; silence where nothing was played."""
        size = n_samples * BYTES_PER_SAMPLE
        taken = bytes(self._waiting[:size]).ljust(size, b"\0")
        del self._waiting[:size]
        self._n_taken += n_samples
        return taken
