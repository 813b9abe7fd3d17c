"""Sound as other programs take it: encoded piece by piece, each piece on its way before the next is made.

In:  mono s16 samples.   Out: bytes of MP3, Opus in Ogg, AAC (ADTS), FLAC, WAV, or samples as they are.

Nothing is known of the length before the end: a WAV says in its header, as FFmpeg's does on a pipe, that it goes on to
the end of the file, and a FLAC says that it does not know. PyAV encodes all but plain samples.
"""

import struct
from typing import Any, Literal, get_args

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import OutputContainer

SoundKind = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
SOUND_KINDS: tuple[SoundKind, ...] = get_args(SoundKind)
MEDIA_TYPES: dict[SoundKind, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
# Container, codec, bits a second (0: what it needs), the container's options.
_CODED: dict[str, tuple[str, str, int, dict[str, str]]] = {
    # A header with the number of frames could only be written at the end.
    "mp3": ("mp3", "libmp3lame", 64_000, {"write_xing": "0", "id3v2_version": "0"}),
    # A page every fifth of a second, in place of one a second.
    "opus": ("ogg", "libopus", 32_000, {"page_duration": "200000"}),
    "aac": ("adts", "aac", 64_000, {}),
    "flac": ("flac", "flac", 0, {}),
}
BYTES_PER_SAMPLE = 2
# What a header says that goes before sound of unknown length.
_UNKNOWN_BYTES = 0xFFFFFFFF
# Where a WAV of ours tells its sizes.
_RIFF_AT, _DATA_AT = 4, 40


class SoundEncoder:
    """Encodes one sound; from one thread at a time.

    Args:
        kind: As what.
        rate_hz: Of the samples, and of what comes out: 24,000 or 48,000.

    Attributes:
        kind: As given.
    """

    def __init__(self, kind: SoundKind, rate_hz: int) -> None:
        self.kind: SoundKind = kind
        self._rate_hz = rate_hz
        self._pending = _Pending()
        self._coded = _Coded(kind, rate_hz, self._pending) if kind in _CODED else None
        if kind == "wav":
            self._pending.write(_wav_header(rate_hz))

    def encode(self, pcm16: bytes) -> bytes:
        """Add samples.

        Args:
            pcm16: Little-endian s16 mono, a whole number of samples.

        Returns:
            What can be sent by now, maybe nothing.
        """
        if self._coded:
            self._coded.add(pcm16)
        else:
            self._pending.write(pcm16)
        return self._pending.take()

    def finish(self) -> bytes:
        """End the sound; returns the rest. Nothing may follow."""
        if self._coded:
            self._coded.close()
        return self._pending.take()


class _Pending:
    """A file that can only be written."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        """Add bytes; PyAV hands over a view that is gone afterwards."""
        self._written += data
        return len(data)

    def take(self) -> bytes:
        """What has been written since the last time."""
        taken = bytes(self._written)
        self._written.clear()
        return taken


class _Coded:
    """FFmpeg's codecs."""

    def __init__(self, kind: str, rate_hz: int, out: _Pending) -> None:
        container, codec, bits, options = _CODED[kind]
        file: Any = out
        self._container: OutputContainer = av.open(
            file, "w", format=container, options={"flush_packets": "1", **options}
        )
        self._stream: Any = self._container.add_stream(codec, rate=rate_hz, layout="mono")
        if bits:
            self._stream.bit_rate = bits
        self._stream.codec_context.open()
        context = self._stream.codec_context
        # Codecs take frames of their own length and form.
        self._resampler = AudioResampler(context.format, "mono", rate_hz, context.frame_size or None)
        self._rate_hz = rate_hz
        self._n_samples = 0

    def add(self, pcm16: bytes) -> None:
        samples = np.frombuffer(pcm16, "<i2")
        if not len(samples):
            return
        frame = AudioFrame.from_ndarray(samples.astype(np.int16).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = self._rate_hz
        frame.pts = self._n_samples
        self._n_samples += len(samples)
        self._encode(self._resampler.resample(frame))

    def close(self) -> None:
        if self._n_samples:
            self._encode(self._resampler.resample(None))
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def _encode(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            self._container.mux(self._stream.encode(frame))


def complete_wav(n_bytes: int) -> list[tuple[int, bytes]]:
    """What makes the header of a WAV true once its length is known, for a file in which one can go back.

    Args:
        n_bytes: Of the whole file.

    Returns:
        (place, bytes) pairs that are to be written over.
    """
    if n_bytes > _UNKNOWN_BYTES:
        return []
    riff, data = n_bytes - _RIFF_AT - 4, n_bytes - _DATA_AT - 4
    return [(_RIFF_AT, struct.pack("<I", riff)), (_DATA_AT, struct.pack("<I", data))]


def _wav_header(rate_hz: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, rate_hz, rate_hz * BYTES_PER_SAMPLE, BYTES_PER_SAMPLE, 8 * BYTES_PER_SAMPLE)
    return b"".join(
        [
            *(b"RIFF", struct.pack("<I", _UNKNOWN_BYTES), b"WAVE"),
            *(b"fmt ", struct.pack("<I", len(form)), form),
            *(b"data", struct.pack("<I", _UNKNOWN_BYTES)),
        ]
    )
