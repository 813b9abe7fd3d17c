"""The agent's voice for a WebRTC peer, encoded once and only while there is one.

In:  s16 mono at the voice's own rate.   Out: Opus packets of 20 ms at the pace of real time.

Opus takes most rates as they are. Silence is not encoded: once the encoder has settled on it, its last packet says the
same again.
"""

import asyncio
import fractions
import time
from collections import deque
from typing import cast

from aiortc.mediastreams import AudioStreamTrack
from av import AudioFrame, AudioResampler, CodecContext
from av.audio.codeccontext import AudioCodecContext
from av.error import FFmpegError
from av.packet import Packet
from loguru import logger

BYTES_PER_SAMPLE = 2
# The clock of Opus on the wire, whatever the sound's own rate.
OPUS_RATE_HZ = 48_000
OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
PACKET_SECS = 0.02
PACKET_TICKS = 960
TICK = fractions.Fraction(1, OPUS_RATE_HZ)
# One voice, transparent for speech.
BIT_RATE = 64_000
# After so many packets of silence the encoder says the same packet again and again.
SETTLED_PACKETS = 25


class VoiceEncoder:
    """Makes Opus packets of the agent's voice.

    Args:
        rate_hz: Of the voice. One that Opus knows is taken as it is, any other is resampled here.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._own_rate_hz = next((rate for rate in OPUS_RATES_HZ if rate >= rate_hz), OPUS_RATE_HZ)
        self._packet_samples = round(self._own_rate_hz * PACKET_SECS)
        self._resampler = AudioResampler("s16", "mono", self._own_rate_hz)
        codec = cast(AudioCodecContext, CodecContext.create("libopus", "w"))
        codec.sample_rate, codec.layout, codec.format, codec.bit_rate = self._own_rate_hz, "mono", "s16", BIT_RATE
        codec.options = {"application": "voip"}
        self._codec = codec
        self._waiting = bytearray()
        self._n_silent = 0
        self._silence = b""

    @property
    def waiting_secs(self) -> float:
        """How much sound waits for a packet."""
        return len(self._waiting) / BYTES_PER_SAMPLE / self._own_rate_hz

    def add(self, pcm16: bytes) -> None:
        """Take sound.

        Args:
            pcm16: s16 mono at the voice's rate.
        """
        if self._rate_hz == self._own_rate_hz:
            self._waiting += pcm16
            return
        for piece in self._resampler.resample(_frame(pcm16, self._rate_hz)):
            self._waiting += bytes(piece.planes[0])[: piece.samples * BYTES_PER_SAMPLE]

    def drop(self) -> None:
        """Forget the sound that waits for a packet."""
        self._waiting.clear()

    def next_packet(self) -> bytes:
        """The next 20 ms, filled up with silence."""
        size = self._packet_samples * BYTES_PER_SAMPLE
        pcm16 = bytes(self._waiting[:size])
        del self._waiting[:size]
        self._n_silent = 0 if pcm16 else self._n_silent + 1
        if self._n_silent > SETTLED_PACKETS:
            return self._silence
        packets = self._codec.encode(_frame(pcm16.ljust(size, b"\0"), self._own_rate_hz))
        # One frame of Opus's own length is one packet, from the first on.
        self._silence = bytes(packets[0])
        return self._silence


class VoiceTrack(AudioStreamTrack):
    """What aiortc sends to the peer, in the place of Pipecat's RawAudioTrack.

    Args:
        rate_hz: Of the agent's voice.
    """

    def __init__(self, rate_hz: int) -> None:
        super().__init__()
        self.set_rate(rate_hz)
        self._queue: deque[tuple[bytes, asyncio.Future[bool]]] = deque()
        self._started_secs = 0.0
        self._n_sent = 0

    def set_rate(self, rate_hz: int) -> None:
        """Another voice follows, none of whose sound has come.

        Args:
            rate_hz: Of the agent's voice from now on.
        """
        self._rate_hz = rate_hz
        self._encoder = VoiceEncoder(rate_hz)
        # A voice whose 20 ms are no whole number of samples needs a little more than one packet's sound at hand.
        self._at_hand_secs = 0.0 if rate_hz in OPUS_RATES_HZ else PACKET_SECS

    @property
    def rate_hz(self) -> int:
        """Of the agent's voice."""
        return self._rate_hz

    def add_audio_bytes(self, pcm16: bytes) -> "asyncio.Future[bool]":
        """Let the peer hear this.

        Args:
            pcm16: s16 mono at the voice's rate.

        Returns:
            Done when it is on its way.
        """
        taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue.append((pcm16, taken))
        if self._at_hand_secs:
            self._take(self._at_hand_secs)
        return taken

    def drop(self) -> None:
        """Forget the sound that is not on its way yet."""
        self._encoder.drop()
        while self._queue:
            taken = self._queue.popleft()[1]
            if not taken.done():
                taken.set_result(False)

    async def recv(self) -> Packet:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The next packet when it is due; aiortc sends it as it is."""
        if not self._n_sent:
            # Whoever made it may have had to wait for the peer.
            self._started_secs = time.monotonic()
        early_secs = self._started_secs + self._n_sent * PACKET_SECS - time.monotonic()
        if early_secs > 0:
            await asyncio.sleep(early_secs)
        self._take(PACKET_SECS)
        packet = Packet(self._next())
        packet.pts, packet.time_base = self._n_sent * PACKET_TICKS, TICK
        self._n_sent += 1
        if self._at_hand_secs:
            self._take(self._at_hand_secs)
        return packet

    def _next(self) -> bytes:
        """The next 20 ms; an encoder that fails costs its sound: aiortc would send nothing any more."""
        try:
            return self._encoder.next_packet()
        except (FFmpegError, MemoryError) as error:
            logger.error(f"the voice cannot be encoded, and is silent for a moment: {error}")
            self._encoder = VoiceEncoder(self._rate_hz)
            return self._encoder.next_packet()

    def _take(self, wanted_secs: float) -> None:
        """Encode ahead until so much waits, or nothing more has come."""
        while self._queue and self._encoder.waiting_secs < wanted_secs - 1e-6:
            pcm16, taken = self._queue.popleft()
            self._encoder.add(pcm16)
            if not taken.done():
                taken.set_result(True)


def _frame(pcm16: bytes, rate_hz: int) -> AudioFrame:
    frame = AudioFrame("s16", "mono", len(pcm16) // BYTES_PER_SAMPLE)
    frame.planes[0].update(pcm16)
    frame.sample_rate = rate_hz
    return frame
