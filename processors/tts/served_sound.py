"""Sound as a speech server sends it, read while it comes: WAV of any length, raw PCM, or whatever FFmpeg reads.

In:  bytes in pieces of any size, and their content type.   Out: mono s16 at the server's rate, in pieces.

WAV is read here, since FFmpeg waits for 64 KB of it, more than a second of speech, before it gives the first sample. A
server that streams cannot know the length, and writes 0 or the largest number there is: then it lasts until the end.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from processors.errors import EngineError

PCM_RATE_HZ = 24_000
RATES_HZ = range(4_000, 192_001)
MAX_CHANNELS = 8
# A header longer than this is none.
MAX_HEADER_BYTES = 64 << 10
# More than an hour of speech in one sentence: written by a server that does not know.
UNKNOWN_BYTES = 1 << 29
# What a speech server may send. Playlists and the like name other files and addresses to open: nothing but the sound
# itself may be read.
FFMPEG_OPTIONS = {
    "protocol_whitelist": "none",
    "format_whitelist": "wav,mp3,aac,flac,ogg",
    # Nothing is looked at beyond what the format needs: the first sound is wanted soon.
    "probesize": "4096",
    "analyzeduration": "0",
}
_RATE = re.compile(r"rate=\"?(\d{4,6})")
_PCM_FORMATS = (1, 0xFFFE)

Audio = np.ndarray[Any, np.dtype[np.int16]]


class UnreadableSoundError(EngineError):
    """What a server sends is of a kind that is not read; in another form it may be."""


@dataclass(frozen=True)
class ServedSound:
    """A stretch of sound.

    Attributes:
        audio_s16: Mono, shape (n_samples,).
        rate_hz: The server's.
    """

    audio_s16: Audio
    rate_hz: int


def served_sounds(pieces: Iterator[bytes], content_type: str, asked: str) -> Iterator[ServedSound]:
    """Read a server's sound.

    Args:
        pieces: Its bytes.
        content_type: As it names them, in lower case.
        asked: The format that was asked for: `wav` or `pcm`.

    Raises:
        EngineError: It is no sound.
        UnreadableSoundError: It is of a kind that is not read.
    """
    kind = content_type.split(";")[0].strip()
    if kind.startswith(("text/", "application/json", "image/")):
        raise EngineError(f"the text-to-speech server answers {kind[:40]}, no sound")
    reader = _Reader(pieces)
    start = reader.peek(12)
    if start[:4] in (b"RIFF", b"RF64") and start[8:] == b"WAVE":
        yield from _wav(reader)
    elif (asked == "pcm" and kind in ("", "application/octet-stream")) or "pcm" in kind or kind == "audio/l16":
        rate = _RATE.search(content_type)
        yield from _samples(reader, int(rate[1]) if rate else PCM_RATE_HZ, 1, None)
    elif start:
        yield from _decoded(reader)


class _Reader:
    """Bytes by their count; also a file, as FFmpeg reads one."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def peek(self, n_bytes: int) -> bytes:
        """The next bytes, fewer at the end; they are read again."""
        while len(self._held) < n_bytes and (piece := next(self._pieces, None)) is not None:
            self._held += piece
        return self._held[:n_bytes]

    def take(self, n_bytes: int) -> bytes:
        """The next bytes, fewer at the end."""
        taken = self.peek(n_bytes)
        self._held = self._held[len(taken) :]
        return taken

    def read(self, n_bytes: int) -> bytes:
        """What has come, at most so much; empty at the end."""
        self.peek(1)
        return self.take(min(n_bytes, len(self._held)))


def _wav(reader: _Reader) -> Iterator[ServedSound]:
    reader.take(12)
    rate_hz = n_channels = 0
    for _ in range(64):
        name, size = struct.unpack("<4sI", reader.take(8).ljust(8, b"\0"))
        if name == b"data":
            if not rate_hz:
                break
            yield from _samples(reader, rate_hz, n_channels, size if 0 < size < UNKNOWN_BYTES else None)
            return
        if size > MAX_HEADER_BYTES:
            break
        body = reader.take(size + size % 2)
        if name == b"fmt " and len(body) >= 16:
            form, n_channels, rate_hz, _, _, n_bits = struct.unpack("<HHIIHH", body[:16])
            if form not in _PCM_FORMATS or n_bits != 16:
                raise UnreadableSoundError(
                    f"the text-to-speech server sends a WAV of format {form}, {n_bits} bits, not 1, 16"
                )
    raise EngineError("the text-to-speech server sends a broken WAV")


def _samples(reader: _Reader, rate_hz: int, n_channels: int, n_bytes: int | None) -> Iterator[ServedSound]:
    check_shape(rate_hz, n_channels)
    frame_bytes = 2 * n_channels
    held = b""
    while n_bytes is None or n_bytes > 0:
        came = reader.read(64 << 10 if n_bytes is None else min(64 << 10, n_bytes))
        if not came:
            return
        n_bytes = None if n_bytes is None else n_bytes - len(came)
        held += came
        whole = held[: len(held) - len(held) % frame_bytes]
        held = held[len(whole) :]
        if whole:
            yield ServedSound(_mono(np.frombuffer(whole, "<i2").reshape(-1, n_channels)), rate_hz)


def _decoded(reader: _Reader) -> Iterator[ServedSound]:
    try:
        # Small reads, for what has come is to be heard.
        opened = av.open(cast(Any, reader), "r", buffer_size=1024, options=FFMPEG_OPTIONS, metadata_errors="replace")
        with cast(InputContainer, opened) as container:
            # Decoding a stream without a decoder would end the process.
            known = [stream for stream in container.streams.audio if stream.codec_context]
            if not known:
                raise UnreadableSoundError("the text-to-speech server sends sound of an unknown codec")
            resampler: av.AudioResampler | None = None
            for frame in container.decode(known[0]):
                check_shape(frame.sample_rate, len(frame.layout.channels))
                resampler = resampler or av.AudioResampler("s16", "mono", frame.sample_rate)
                for mono in resampler.resample(frame):
                    yield ServedSound(mono.to_ndarray()[0].astype(np.int16), mono.sample_rate)
    except (FFmpegError, IndexError, ValueError, MemoryError) as error:
        raise EngineError("the text-to-speech server sends what is no sound") from error


def check_shape(rate_hz: int, n_channels: int) -> None:
    """See that sound can be played.

    Raises:
        EngineError: A broken header; resampling from it could fill the memory.
    """
    if rate_hz not in RATES_HZ or not 1 <= n_channels <= MAX_CHANNELS:
        raise EngineError(f"the text-to-speech server sends {n_channels} channels at {rate_hz} Hz")


def _mono(frames_s16: Audio) -> Audio:
    if frames_s16.shape[1] == 1:
        return frames_s16[:, 0]
    return frames_s16.astype(np.int32).mean(axis=1).round().astype(np.int16)
