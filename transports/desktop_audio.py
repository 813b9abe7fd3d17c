"""The desktop's sound card as the agent sees it: it never stops, whatever becomes of the device.

In:  blocks of both sides from a DuplexStream.
Out: every 20 ms the microphone at 16 kHz, and as its reference what was played in the same callbacks, at 16 kHz too.

A device that is lost is opened again, the default one if the wanted one has gone; meanwhile time goes on: the
microphone is silent, and what was to be played is lost, as it would be on a card of which the plug was pulled.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from loguru import logger

from transports.desktop_devices import DeviceError, DevicePair, StreamFormat, pick_devices, refresh_devices
from transports.desktop_player import DesktopPlayer
from transports.desktop_rate import Pcm16, RateConverter
from transports.desktop_stream import Captured, DuplexStream, Latency, StreamCounts, open_stream
from transports.desktop_thread import run_aside
from transports.params import IN_RATE_HZ

FRAME_SECS = 0.02
FRAME_SAMPLES = int(IN_RATE_HZ * FRAME_SECS)
FRAME_BLOCKS = 2
# A device that gives nothing for this long counts as silent, but may still come back by itself.
SILENT_AFTER_SECS = 0.2
STALLED_SECS = 1.5
STARTING_SECS = 5.0
WATCH_SECS = 0.1
SHORT_LIFE_BLOCKS = 200
# So many gaps in so short a time: the device has too little time for each block.
MANY_UNDERRUNS = 8
MANY_UNDERRUNS_SECS = 5.0
# Then it is given more; the last is as long as echo cancelling allows.
LATENCIES: tuple[Latency, ...] = ("low", "high", 0.2)
FIRST_RETRY_SECS = 0.25
MAX_RETRY_SECS = 2.0
CLOSE_TIMEOUT_SECS = 2.0
SILENCE_DBFS = -100.0

OnFrame = Callable[[bytes, bytes], None]


class DesktopAudio:
    """Owns the stream, opens it again, and cuts what it captures into frames; made and called on the event loop.

    Args:
        sounddevice: The module.
        out_rate_hz: Rate of the agent's sound.
        microphone: A number or part of a name; None is the system's default.
        loudspeaker: The same.

    Attributes:
        player: The playing side.
        counts: What went wrong on the device's side.
        muted: Whether the microphone is replaced by silence.
        devices: What is open, or was last.
        trouble: Why there is no device; None while there is one.
    """

    def __init__(
        self, sounddevice: Any, out_rate_hz: int, microphone: str | None = None, loudspeaker: str | None = None
    ) -> None:
        self._sounddevice = sounddevice
        self._wanted = (microphone, loudspeaker)
        self.player = DesktopPlayer(out_rate_hz)
        self.counts = StreamCounts()
        self.muted = False
        self.microphone_dbfs = SILENCE_DBFS
        self.loudspeaker_dbfs = SILENCE_DBFS
        self.devices: DevicePair | None = None
        self.trouble: str | None = None
        self._volume = 1.0
        self._latency_step = 0
        self._stream: DuplexStream | None = None
        self._ended = asyncio.Event()
        self._on_frame: OnFrame = lambda heard, played: None
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.get_running_loop()
        self._heard_until_secs = 0.0
        self._patient_until_secs = 0.0
        self._to_agent = RateConverter(IN_RATE_HZ, IN_RATE_HZ, n_channels=2)
        self._both_s16: Pcm16 = np.zeros((2, 0), np.int16)

    @property
    def stream_format(self) -> StreamFormat | None:
        """Rate and channels of what is open; None while nothing is."""
        return self._stream.format if self._stream else None

    @property
    def description(self) -> str:
        """What is open, for people."""
        if not (self._stream and self.devices):
            return "no sound device"
        latency_ms = round(1000 * self._stream.out_latency_secs)
        return (
            f"microphone: {self.devices.microphone.name}, loudspeaker: {self.devices.loudspeaker.name}, "
            f"{self._stream.format.rate_hz} Hz, {latency_ms} ms"
        )

    @property
    def volume(self) -> float:
        """What the agent's sound is multiplied by, 0 to 1."""
        return self._volume

    @volume.setter
    def volume(self, volume: float) -> None:
        self._volume = min(1.0, max(0.0, volume))
        if self._stream:
            self._stream.volume = self._volume

    @property
    def out_delay_secs(self) -> float:
        """From now until the next written sample sounds: what is queued, and the device's own latency."""
        return self.player.queued_secs + (self._stream.out_latency_secs if self._stream else 0.0)

    async def probe(self) -> None:
        """Open the devices and let them go again.

        Raises:
            DeviceError: There are none, or they cannot be opened.
        """
        stream, self.devices = await run_aside(self._open)
        await run_aside(stream.close)

    async def start(self, on_frame: OnFrame) -> None:
        """Open the devices, and go on trying if that fails.

        Args:
            on_frame: Called every 20 ms on the event loop with both sides, 16 kHz mono s16 of equal length.
        """
        self._on_frame = on_frame
        try:
            self._adopt(*await run_aside(self._open, _let_go))
        except DeviceError as error:
            self._tell_trouble(error)
        self.player.begin()
        self._heard_until_secs = time.monotonic()
        self._tasks = [asyncio.create_task(self._supervise()), asyncio.create_task(self._pass_time())]

    async def stop(self) -> None:
        """Let the devices go."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close()
        self.player.close()

    def _open(self) -> tuple[DuplexStream, DevicePair]:
        devices = pick_devices(self._sounddevice, *self._wanted)
        return open_stream(self._sounddevice, devices, self._make_stream, self._latency), devices

    def _open_again(self) -> tuple[DuplexStream, DevicePair]:
        refresh_devices(self._sounddevice)
        try:
            return self._open()
        except DeviceError:
            if self._wanted == (None, None):
                raise
            devices = pick_devices(self._sounddevice, None, None)
            return open_stream(self._sounddevice, devices, self._make_stream, self._latency), devices

    def _make_stream(self, format_: StreamFormat) -> DuplexStream:
        queue = self.player.queue_for(format_)
        return DuplexStream(format_, queue, self.counts, self._loop, self._deliver, self._finished)

    def _adopt(self, stream: DuplexStream, devices: DevicePair) -> None:
        if stream.ended:
            self._ended.set()
        else:
            self._ended.clear()
        self._stream = stream
        self.devices = devices
        self.trouble = None
        stream.volume = self._volume
        self.player.use(stream.queue)
        self._to_agent = RateConverter(stream.format.rate_hz, IN_RATE_HZ, n_channels=2)
        self._patient_until_secs = time.monotonic() + STARTING_SECS
        logger.info(self.description)

    def _tell_trouble(self, error: DeviceError) -> None:
        if self.trouble != str(error):
            self.trouble = str(error)
            logger.warning(f"{error}; trying again")

    async def _supervise(self) -> None:
        retry_secs = FIRST_RETRY_SECS
        while True:
            if self._stream:
                if await self._until_lost(self._stream):
                    self.counts.n_losses += 1
                    logger.warning("the sound device is gone; opening it again")
                else:
                    self._more_latency()
                    logger.warning("the sound device runs dry again and again; opening it with a longer buffer")
                await self._close()
                retry_secs = FIRST_RETRY_SECS
            else:
                await asyncio.sleep(retry_secs)
                retry_secs = min(MAX_RETRY_SECS, 2 * retry_secs)
            try:
                self._adopt(*await run_aside(self._open_again, _let_go))
            except DeviceError as error:
                self._tell_trouble(error)

    async def _until_lost(self, stream: DuplexStream) -> bool:
        """Wait until the device has ended the stream, or has given nothing for too long.

        Returns:
            False if it runs, but too often without sound to play.
        """
        n_before, since_secs = self.counts.n_underruns, time.monotonic()
        while not self._ended.is_set() and time.monotonic() < self._patient_until_secs:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), WATCH_SECS)
            if self._latency_step + 1 < len(LATENCIES) and self.counts.n_underruns - n_before >= MANY_UNDERRUNS:
                return False
            if time.monotonic() - since_secs > MANY_UNDERRUNS_SECS:
                n_before, since_secs = self.counts.n_underruns, time.monotonic()
        if stream.n_blocks < SHORT_LIFE_BLOCKS:
            # A device with too little time for each block may end a stream as soon as it has begun.
            self._more_latency()
        return True

    def _more_latency(self) -> None:
        self._latency_step = min(self._latency_step + 1, len(LATENCIES) - 1)

    @property
    def _latency(self) -> Latency:
        return LATENCIES[self._latency_step]

    async def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        try:
            await asyncio.wait_for(run_aside(stream.close), CLOSE_TIMEOUT_SECS)
        except TimeoutError:
            logger.error("the sound system does not let go of a lost device; sotto goes on without waiting for it")

    async def _pass_time(self) -> None:
        """Where the device gives nothing, give silence at its pace."""
        while True:
            await asyncio.sleep(FRAME_SECS)
            while time.monotonic() - self._heard_until_secs > SILENT_AFTER_SECS + FRAME_SECS:
                self._heard_until_secs += FRAME_SECS
                # A loudspeaker that is still waking up is waited for; the first word would be lost.
                if not (self._stream and self._stream.n_blocks == 0):
                    self.player.lose(FRAME_BLOCKS)
                self._append(np.zeros((2, FRAME_SAMPLES), np.int16))

    def _finished(self, stream: DuplexStream) -> None:
        if stream is self._stream:
            self._ended.set()

    def _deliver(self, stream: DuplexStream) -> None:
        captured = stream.fetch()
        if stream is not self._stream:
            return
        self._heard_until_secs = time.monotonic()
        self._patient_until_secs = max(self._patient_until_secs, self._heard_until_secs + STALLED_SECS)
        self.player.moved()
        for block in captured:
            self._append(self._to_agent.convert(_both_sides(block, stream.format.in_channels)))

    def _append(self, both_s16: Pcm16) -> None:
        self._both_s16 = np.concatenate((self._both_s16, both_s16), axis=1)
        while self._both_s16.shape[1] >= FRAME_SAMPLES:
            heard_s16, played_s16 = self._both_s16[:, :FRAME_SAMPLES]
            self._both_s16 = self._both_s16[:, FRAME_SAMPLES:]
            if self.muted:
                heard_s16 = np.zeros_like(heard_s16)
            self.microphone_dbfs = _level_dbfs(heard_s16)
            self.loudspeaker_dbfs = _level_dbfs(played_s16)
            self._on_frame(heard_s16.astype("<i2").tobytes(), played_s16.astype("<i2").tobytes())


def _both_sides(block: Captured, in_channels: int) -> Pcm16:
    """Microphone and reference; shape (2, n_samples), int16."""
    heard_s16 = np.frombuffer(block.heard, np.int16).reshape(-1, in_channels)
    if in_channels > 1:
        mono_s16 = heard_s16.mean(axis=1).astype(np.int16)
    else:
        mono_s16 = heard_s16[:, 0]
    return np.stack((mono_s16, np.frombuffer(block.played, np.int16)))


def _level_dbfs(audio_s16: Pcm16) -> float:
    return max(SILENCE_DBFS, 10 * float(np.log10(np.square(audio_s16.astype(np.float64)).mean() / 32768**2 + 1e-12)))


def _let_go(opened: tuple[DuplexStream, DevicePair]) -> None:
    opened[0].close()
