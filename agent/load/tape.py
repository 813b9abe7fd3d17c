"""Sound as packets that were encoded once, and when each is due: callers cost little, so that many fit in a process."""

import asyncio
import fractions
import time
from collections import deque
from collections.abc import Sequence

from av import AudioFrame, AudioResampler, CodecContext
from av.audio.codeccontext import AudioCodecContext

from transports.recording import Pcm16

SPEECH_RATE_HZ = 16_000
OPUS_RATE_HZ = 48_000
PACKET_SAMPLES = 960
PACKET_SECS = PACKET_SAMPLES / OPUS_RATE_HZ  # 0.02
# What browsers send for one microphone.
BIT_RATE = 32_000
TIME_BASE = fractions.Fraction(1, OPUS_RATE_HZ)


def encoded(audio_s16: Pcm16) -> list[bytes]:
    """Opus packets of 20 ms, as a browser sends them.

    Args:
        audio_s16: shape (n_samples,), int16, mono at 16 kHz.
    """
    codec = CodecContext.create("libopus", "w")
    assert isinstance(codec, AudioCodecContext)  # noqa: S101 - an encoder of sound
    codec.bit_rate, codec.sample_rate, codec.layout, codec.format = BIT_RATE, OPUS_RATE_HZ, "mono", "s16"
    codec.options = {"application": "voip"}
    codec.time_base = TIME_BASE
    resampler = AudioResampler("s16", "mono", OPUS_RATE_HZ, frame_size=PACKET_SAMPLES)
    frame = AudioFrame.from_ndarray(audio_s16[None, :], layout="mono")
    frame.sample_rate = SPEECH_RATE_HZ
    packets = [packet for piece in resampler.resample(frame) for packet in codec.encode(piece)]
    return [bytes(packet) for packet in packets]


class Mouth:
    """What one caller sends, 20 ms after 20 ms: what he says, and silence else.

    Args:
        silence: A piece of it.

    Attributes:
        late_secs: How long after its time each piece was handed over.
    """

    def __init__(self, silence: bytes) -> None:
        self.late_secs: deque[float] = deque(maxlen=3000)
        self._silence = silence
        self._to_say: deque[bytes] = deque()
        self._said = asyncio.Event()
        self._said_secs = 0.0
        self._due_secs: float | None = None

    async def say(self, pieces: Sequence[bytes]) -> float:
        """Say something; back once its last piece is out.

        Args:
            pieces: 20 ms each.

        Returns:
            When the last sample was spoken, on the monotonic clock.
        """
        self._said.clear()
        self._to_say.extend(pieces)
        await self._said.wait()
        return self._said_secs

    def stop(self) -> None:
        """Nobody sends any more: who waits until he has said something need not."""
        self._said_secs = time.monotonic()
        self._said.set()

    async def next(self) -> bytes:
        """What is due next, when it is due."""
        now_secs = time.monotonic()
        if self._due_secs is None:
            self._due_secs = now_secs
        await asyncio.sleep(max(0.0, self._due_secs - now_secs))
        self.late_secs.append(time.monotonic() - self._due_secs)
        self._due_secs += PACKET_SECS
        if not self._to_say:
            return self._silence
        piece = self._to_say.popleft()
        if not self._to_say:
            # It lasts 20 ms from now on.
            self._said_secs = time.monotonic() + PACKET_SECS
            self._said.set()
        return piece
