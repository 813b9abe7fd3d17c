"""The playing side of the desktop's sound card: converts, paces, and empties at an interruption.

In:  the agent's sound at its own rate.   Out: blocks of 10 ms at the device's rate, in a PlayQueue.
"""

import asyncio

import numpy as np

from transports.desktop_devices import StreamFormat
from transports.desktop_rate import Pcm16, RateConverter
from transports.play_queue import Playout, PlayQueue

QUEUED_SECS = 0.06
# Room for the last block of a voice, which is queued without waiting.
QUEUE_BLOCKS = 16
# With nothing written for so long the voice has ended, and what the converter holds back follows it.
TAIL_SECS = 0.04
# Until a device has been opened nothing is known of it.
UNKNOWN_FORMAT = StreamFormat(48_000, 1, 1)


class DesktopPlayer:
    """Everything here is called on the event loop, except `queue_for`.

    Args:
        rate_hz: Rate of the agent's sound.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._room = asyncio.Event()
        self._begun = asyncio.Event()
        self._n_cuts = 0
        self._tail_timer: asyncio.TimerHandle | None = None
        self._played_before_secs = 0.0
        self._queue = PlayQueue(UNKNOWN_FORMAT.rate_hz, UNKNOWN_FORMAT.block_samples, QUEUE_BLOCKS)
        self._join(self._queue)

    @property
    def playout(self) -> Playout:
        """What became of the agent's sound since a device of this rate was opened."""
        return self._queue.playout()

    @property
    def played_secs(self) -> float:
        """Seconds of the agent's sound that devices were given, since the start."""
        return self._played_before_secs + self.playout.played_secs

    @property
    def queued_secs(self) -> float:
        """Seconds that wait."""
        return self.playout.queued_samples / self._queue.rate_hz

    def queue_for(self, format_: StreamFormat) -> PlayQueue:
        """The queue that a device of this format is to play from."""
        if (format_.rate_hz, format_.block_samples) == (self._queue.rate_hz, self._queue.block_samples):
            return self._queue
        return PlayQueue(format_.rate_hz, format_.block_samples, QUEUE_BLOCKS)

    def begin(self) -> None:
        """Let writers write: a device is open, or known to be missing."""
        self._begun.set()

    def use(self, queue: PlayQueue) -> None:
        """Play to this queue from now on; what waits in another one is not played."""
        if queue is self._queue:
            return
        if self._begun.is_set():
            self.cut()
        self._played_before_secs += self.playout.played_secs
        self._join(queue)
        self.moved()

    async def write(self, pcm16: bytes) -> bool:
        """Queue sound; returns when all of it is queued and no more than 60 ms wait.

        Args:
            pcm16: Little-endian s16 mono at the agent's rate.

        Returns:
            False if an interruption came before any of it was queued.
        """
        n_cuts, n_queued = self._n_cuts, 0
        await self._begun.wait()
        self._hold_tail()
        self._append(self._converter.convert(np.frombuffer(pcm16, "<i2")[None, :]))
        while n_cuts == self._n_cuts and len(self._rest) >= self._queue.block_samples:
            if len(self._queue) < self._max_blocks:
                self._queue_block()
                n_queued += 1
            else:
                await self._wait_for_room()
        if n_cuts == self._n_cuts:
            self._tail_timer = asyncio.get_running_loop().call_later(TAIL_SECS, self._end_voice)
            return True
        return n_queued > 0

    def cut(self) -> Playout:
        """Empty the queue; returns what became of the sound, to the sample."""
        self._n_cuts += 1
        self._hold_tail()
        self._converter.reset()
        self._rest = self._rest[:0]
        self._queue.drop()
        self._room.set()
        return self.playout

    async def drain(self) -> None:
        """Wait until all that was written has been played or lost."""
        if self._tail_timer:
            self._hold_tail()
            self._end_voice()
        while len(self._queue):
            await self._wait_for_room()

    def moved(self) -> None:
        """Tell that blocks may have left the queue."""
        self._room.set()

    def lose(self, n_blocks: int) -> None:
        """Let the time of so many blocks pass unplayed."""
        for _ in range(n_blocks):
            self._queue.lose()
        self._room.set()

    def close(self) -> None:
        """End the timer; nothing is written any more."""
        self.cut()

    async def _wait_for_room(self) -> None:
        self._room.clear()
        await self._room.wait()

    def _join(self, queue: PlayQueue) -> None:
        self._queue = queue
        self._max_blocks = int(QUEUED_SECS * queue.rate_hz) // queue.block_samples
        self._converter = RateConverter(self._rate_hz, queue.rate_hz)
        self._rest: Pcm16 = np.zeros(0, np.int16)

    def _hold_tail(self) -> None:
        if self._tail_timer:
            self._tail_timer.cancel()
            self._tail_timer = None

    def _end_voice(self) -> None:
        self._tail_timer = None
        self._append(self._converter.flush())
        while len(self._rest):
            self._queue_block()

    def _append(self, audio_s16: Pcm16) -> None:
        self._rest = np.concatenate((self._rest, audio_s16[0]))

    def _queue_block(self) -> None:
        size = self._queue.block_samples
        self._queue.put(self._rest[:size])
        self._rest = self._rest[size:]
