"""The agent's sound on its way to the device: blocks of 10 ms between the event loop and the device's thread.

In:  blocks, from the event loop.   Out: blocks, to the device's callback, and a count of what became of every sample.

No lock: each side takes a block by one operation on a deque, which the interpreter does not divide, so that a block is
either played or dropped, and the counts are exact even when a cut and a callback meet.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

Pcm16 = np.ndarray[Any, np.dtype[np.int16]]


@dataclass(frozen=True)
class Playout:
    """What became of the agent's sound; written = played + queued + dropped + lost.

    Attributes:
        rate_hz: The device's rate, in whose samples all of this is counted.
        written_samples: All that came.
        played_samples: Handed to the device.
        queued_samples: Still waiting.
        dropped_samples: Emptied out by interruptions.
        lost_samples: Fallen into a time in which there was no device.
    """

    rate_hz: int
    written_samples: int = 0
    played_samples: int = 0
    queued_samples: int = 0
    dropped_samples: int = 0
    lost_samples: int = 0

    @property
    def played_secs(self) -> float:
        """The seconds that were played."""
        return self.played_samples / self.rate_hz


class PlayQueue:
    """A preallocated queue with one writer (the event loop) and one reader (the device's callback).

    Args:
        rate_hz: The device's rate.
        block_samples: Samples of a block.
        n_blocks: Blocks that find room.
    """

    def __init__(self, rate_hz: int, block_samples: int, n_blocks: int) -> None:
        self.rate_hz = rate_hz
        self.block_samples = block_samples
        self._blocks = np.zeros((n_blocks, block_samples), np.int16)
        self._lengths = [0] * n_blocks
        self._free: deque[int] = deque(range(n_blocks))
        self._ready: deque[int] = deque()
        self._written = 0
        self._dropped = 0
        self._lost = 0

    def put(self, audio_s16: Pcm16) -> None:
        """Queue a block; call it on the event loop.

        Args:
            audio_s16: shape (n_samples,), int16, at most a block; a shorter one is followed by silence.

        Raises:
            ValueError: It is longer than a block.
            IndexError: The queue is full.
        """
        n_samples = len(audio_s16)
        if n_samples > self.block_samples:
            raise ValueError(f"a block holds {self.block_samples} samples, not {n_samples}")
        slot = self._free.popleft()
        self._blocks[slot, :n_samples] = audio_s16
        self._blocks[slot, n_samples:] = 0
        self._lengths[slot] = n_samples
        self._written += n_samples
        self._ready.append(slot)

    def take(self, block_s16: Pcm16) -> bool:
        """Copy the next block into `block_s16`; False, and nothing copied, when none waits. The callback's side."""
        try:
            slot = self._ready.popleft()
        except IndexError:
            return False
        block_s16[:] = self._blocks[slot]
        self._free.append(slot)
        return True

    def drop(self) -> int:
        """Empty the queue; call it on the event loop. Returns the samples that will not be played."""
        n_dropped = 0
        while n_samples := self._discard():
            n_dropped += n_samples
        self._dropped += n_dropped
        return n_dropped

    def lose(self) -> None:
        """Let a block's time pass unplayed; call it on the event loop."""
        self._lost += self._discard()

    def playout(self) -> Playout:
        """What became of every sample so far; call it on the event loop."""
        queued = sum(self._lengths[slot] for slot in tuple(self._ready))
        played = self._written - self._dropped - self._lost - queued
        return Playout(self.rate_hz, self._written, played, queued, self._dropped, self._lost)

    def __len__(self) -> int:
        """Blocks that wait."""
        return len(self._ready)

    def _discard(self) -> int:
        try:
            slot = self._ready.popleft()
        except IndexError:
            return 0
        n_samples = self._lengths[slot]
        self._free.append(slot)
        return n_samples
