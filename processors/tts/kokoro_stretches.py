"""Into which stretches the sound of a clause is made: the first short, later ones as long as what is queued lasts.

In:  where words end, how fast the machine is, how much sound waits to be played.   Out: where to cut.
"""

import time
from collections.abc import Sequence

import numpy as np

from processors.tts.kokoro_model import CONTEXT_FRAMES, FRAME_SAMPLES, Audio

FRAME_SECS = FRAME_SAMPLES / 24_000
# A few words.
FIRST_FRAMES = 22
LEAST_FRAMES = 40
_MOST_FRAMES = 240
# Of the time that is left, so much is planned for.
_PLANNED_SHARE = 0.8
# How fast the machine is taken to be before it was measured, in seconds of work for a second of sound.
_ASSUMED_COST = 0.5
_NEW_SHARE = 0.3
# Stretches are faded into one another in this time.
FADE_SAMPLES = 240


class Supply:
    """How much sound one conversation has waiting, and what sound costs on this machine."""

    def __init__(self) -> None:
        self.cost = _ASSUMED_COST
        self._is_measured = False
        self._plays_until_secs = 0.0

    def note_work(self, took_secs: float, n_frames: int) -> None:
        """Frames were made."""
        cost = took_secs / (n_frames * FRAME_SECS)
        self.cost = self.cost + _NEW_SHARE * (cost - self.cost) if self._is_measured else cost
        self._is_measured = True

    def note_sound(self, secs: float) -> None:
        """Sound was handed on to be played."""
        self._plays_until_secs = max(time.monotonic(), self._plays_until_secs) + secs

    def drop(self) -> None:
        """What waited is not wanted any more."""
        self._plays_until_secs = 0.0

    def frames_in_time(self) -> int:
        """How many frames can be made before the loudspeaker runs dry; the fewest that make sense if none can."""
        left_secs = self._plays_until_secs - time.monotonic()
        if left_secs <= 0:
            return FIRST_FRAMES
        n_frames = int(left_secs * _PLANNED_SHARE / self.cost / FRAME_SECS) - 2 * CONTEXT_FRAMES
        return min(max(n_frames, LEAST_FRAMES), _MOST_FRAMES)


def next_cut(start: int, end: int, n_frames: int, gaps: Sequence[tuple[int, int]], loudness: Audio) -> int:
    """Where to cut a clause between two words.

    Args:
        start: The first frame that is to be made.
        end: The frame behind the clause's last sound.
        n_frames: How many would be best.
        gaps: First and last frame of each place between two words.
        loudness: Of each frame.

    Returns:
        The quietest frame of the gap that is nearest to so many; the end, if no gap is left or little would remain.
    """
    possible = [gap for gap in gaps if gap[0] >= start + FIRST_FRAMES // 2 and gap[1] <= end - FIRST_FRAMES // 2]
    if not possible or end - start <= n_frames + FIRST_FRAMES // 2:
        return end
    first, last = min(possible, key=lambda gap: abs((gap[0] + gap[1]) / 2 - start - n_frames))
    return first + int(np.argmin(loudness[first : last + 1]))


def joined(tail: Audio, head: Audio) -> Audio:
    """The tail of one stretch faded into the head of the next, of the same length, at equal power."""
    turn = np.linspace(0.0, np.pi / 2, len(head), dtype=np.float32)
    return tail * np.cos(turn) + head * np.sin(turn)
