"""One full-duplex stream: what is played and what the microphone hears come from the same callback.

In:  blocks of the agent's sound, from a PlayQueue.
Out: for every 10 ms the microphone's samples and, as their reference, exactly the samples that were written to the
     device in that same callback.

The callback runs on PortAudio's thread, which must not wait: it takes no lock, copies two blocks, and leaves
everything else to the event loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from transports.desktop_devices import DeviceError, DevicePair, StreamFormat, refuses_format, stream_formats
from transports.play_queue import PlayQueue

# Two seconds of an event loop that does not come to fetch them.
MAX_CAPTURED_BLOCKS = 200
# Loudspeakers that fall asleep in digital silence lose the first word: the silence is ±1 in 32768.
DITHER_BLOCKS = 64

Pcm16 = np.ndarray[Any, np.dtype[np.int16]]
# One of the device's own, or seconds.
Latency = Literal["low", "high"] | float


@dataclass
class StreamCounts:
    """What went wrong on the device's side; every number but the first should stay 0.

    Attributes:
        n_blocks: Callbacks, of 10 ms each.
        n_input_overflows: Callbacks before which microphone samples were lost.
        n_input_underflows: Callbacks in which the device gave silence for missing samples.
        n_output_underflows: Callbacks before which the loudspeaker ran dry.
        n_output_overflows: Callbacks whose samples were thrown away.
        n_late_blocks: Blocks that the event loop did not fetch in time; they are lost.
        n_losses: How often the device was lost.
    """

    n_blocks: int = 0
    n_input_overflows: int = 0
    n_input_underflows: int = 0
    n_output_underflows: int = 0
    n_output_overflows: int = 0
    n_late_blocks: int = 0
    n_losses: int = 0

    @property
    def n_overruns(self) -> int:
        """Losses of microphone samples."""
        return self.n_input_overflows + self.n_late_blocks

    @property
    def n_slips(self) -> int:
        """How often samples were lost on either side; what is heard and what was played are shifted by that."""
        return (
            self.n_input_overflows
            + self.n_input_underflows
            + self.n_output_underflows
            + self.n_output_overflows
            + self.n_late_blocks
            + self.n_losses
        )

    @property
    def n_underruns(self) -> int:
        """Gaps of the agent's sound."""
        return self.n_output_underflows


@dataclass(frozen=True)
class Captured:
    """One callback's share of both sides.

    Attributes:
        heard: Little-endian s16 of the microphone, its channels interleaved.
        played: Little-endian s16 mono that was written to the device in the same callback.
    """

    heard: bytes
    played: bytes


class DuplexStream:
    """A stream; made and opened by `open_stream`, on any thread.

    Args:
        format_: Rate and channels.
        queue: What is to be played.
        counts: Where trouble is counted.
        loop: The event loop to which blocks go.
        on_captured: Called there, with the stream, when blocks wait for `fetch`.
        on_finished: Called there, with the stream, when the device has ended the stream.
    """

    def __init__(
        self,
        format_: StreamFormat,
        queue: PlayQueue,
        counts: StreamCounts,
        loop: asyncio.AbstractEventLoop,
        on_captured: Callable[["DuplexStream"], None],
        on_finished: Callable[["DuplexStream"], None],
    ) -> None:
        self.format = format_
        self.volume = 1.0
        self._captured: deque[Captured] = deque()
        self.out_latency_secs = 0.0
        self.queue = queue
        self._counts = counts
        self._loop = loop
        self._on_captured = on_captured
        self._on_finished = on_finished
        self._stream: Any = None
        self.ended = False
        self._closed = False
        self._wake_pending = False
        self.n_blocks = 0
        self._volume_before = 1.0
        self._block = np.zeros(format_.block_samples, np.int16)
        self._dither = np.random.default_rng(0).integers(-1, 2, (DITHER_BLOCKS, format_.block_samples), np.int16)

    def start(self, sounddevice: Any, devices: DevicePair, latency: Latency) -> None:
        """Open the device and run.

        Args:
            sounddevice: The module.
            devices: What to open.
            latency: How much the device holds.

        Raises:
            sounddevice.PortAudioError: It refuses.
        """
        self._stream = sounddevice.Stream(
            samplerate=self.format.rate_hz,
            blocksize=self.format.block_samples,
            device=(devices.microphone.index, devices.loudspeaker.index),
            channels=(self.format.in_channels, self.format.out_channels),
            dtype="int16",
            latency=latency,
            callback=self._callback,
            finished_callback=self._finished,
        )
        self.out_latency_secs = float(self._stream.latency[1])
        self._stream.start()

    def close(self) -> None:
        """Stop at once and let the device go."""
        self._closed = True
        if self._stream is not None:
            self._stream.close()

    def fetch(self) -> list[Captured]:
        """The blocks since the last call; call it on the event loop."""
        self._wake_pending = False
        blocks = []
        while self._captured:
            blocks.append(self._captured.popleft())
        return blocks

    def _callback(self, heard: Pcm16, out: Pcm16, n_samples: int, time: object, status: Any) -> None:
        self.n_blocks += 1
        self._counts.n_blocks += 1
        # At its start a stream tells of the silence before it.
        if status and self.n_blocks > 1:
            self._count(status)
        played = self._next_block()
        out[:] = played[:, None]
        if len(self._captured) >= MAX_CAPTURED_BLOCKS:
            self._counts.n_late_blocks += 1
        else:
            self._captured.append(Captured(heard.tobytes(), played.tobytes()))
        if not (self._wake_pending or self._closed):
            self._wake_pending = True
            self._loop.call_soon_threadsafe(self._on_captured, self)

    def _next_block(self) -> Pcm16:
        if not self.queue.take(self._block):
            self._volume_before = self.volume
            return self._dither[self._counts.n_blocks % DITHER_BLOCKS]
        volume = self.volume
        if volume != self._volume_before:
            ramp = np.linspace(self._volume_before, volume, len(self._block))
            np.multiply(self._block, ramp, out=self._block, casting="unsafe")
            self._volume_before = volume
        elif volume != 1.0:
            np.multiply(self._block, volume, out=self._block, casting="unsafe")
        return self._block

    def _count(self, status: Any) -> None:
        self._counts.n_input_overflows += status.input_overflow
        self._counts.n_input_underflows += status.input_underflow
        self._counts.n_output_underflows += status.output_underflow
        self._counts.n_output_overflows += status.output_overflow

    def _finished(self) -> None:
        self.ended = True
        if not self._closed:
            self._loop.call_soon_threadsafe(self._on_finished, self)


def open_stream(
    sounddevice: Any, devices: DevicePair, make: Callable[[StreamFormat], DuplexStream], latency: Latency = "low"
) -> DuplexStream:
    """Open a stream in the first format that the devices accept.

    Args:
        sounddevice: The module.
        devices: What to open.
        make: Makes the stream, not open yet, for a format.
        latency: How much the device holds.

    Raises:
        DeviceError: They accept none, or cannot be opened at all.
    """
    refusal: Exception | None = None
    for format_ in stream_formats(devices):
        stream = make(format_)
        try:
            stream.start(sounddevice, devices, latency)
        except sounddevice.PortAudioError as error:
            stream.close()
            refusal = error
            if not refuses_format(error):
                break
        else:
            return stream
    names = f"{devices.microphone.name} / {devices.loudspeaker.name}"
    reason = " ".join(str(refusal).split())
    raise DeviceError(f"sound device cannot be opened: {names}: {reason}: sotto desktop --list-devices shows others")
