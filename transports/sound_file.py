"""Sound files: any container with sound in, 16 kHz mono out, decoded as a stream within a bound.

In:  a file or its bytes, anything that FFmpeg decodes, video with a sound track too.   Out: shape (n_samples,), int16.
Two channels become one as their sum, or as their difference where they are in opposite phase and the sum is silent.
A header is never believed: what counts is what decodes. Plain WAV goes through libsndfile, which needs a twentieth of
a millisecond for 30 s at 16 kHz, all else through PyAV; both are resampled by soxr at its high quality.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.error
import numpy as np
import soundfile
import soxr
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from transports.channels import lanes_of, one_of
from transports.errors import RecordingError

SAMPLE_RATE_HZ = 16_000
BYTES_PER_SAMPLE = 2
# As libsndfile names what needs no codec; ADPCM and GSM in a WAV are left to FFmpeg.
PLAIN_SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
BLOCK_SAMPLES = 1 << 18
# A rate outside of this is a broken header, and resampling from it could fill the memory.
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
# Far beyond full scale, which all ends up at; floating point goes to 3e38, where sums and filters overflow.
MAX_LEVEL = 1e4
FFMPEG_FORMATS = (
    *("wav", "w64", "aiff", "caf", "au", "mp3", "aac", "flac", "ogg", "opus", "amr", "ac3", "eac3", "dts", "ape"),
    *("tta", "wv", "mpc", "mpc8", "tak", "gsm", "voc", "oma", "rm", "dsf", "adx", "g722", "loas", "latm"),
    *("matroska", "webm", "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "avi", "asf", "flv", "live_flv"),
    *("mpeg", "mpegts", "mpegvideo", "mxf", "nut", "dv", "gxf", "swf", "ivf"),
)
# Playlists and the like name other files and addresses to open: nothing but the file itself may be read.
FFMPEG_OPTIONS = {"protocol_whitelist": "none", "format_whitelist": ",".join(FFMPEG_FORMATS)}
# Full scale of FFmpeg's integer samples; unsigned bytes have their zero at 128.
FULL_SCALE = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63, "flt": 1.0, "dbl": 1.0}

Pcm16 = np.ndarray[Any, np.dtype[np.int16]]
_Block = np.ndarray[Any, np.dtype[np.float32]]


class TooLongError(RecordingError):
    """A recording lasts longer than is allowed; the message names it and the limit."""


def decode_sound(
    source: Path | BinaryIO, *, max_secs: float, name: str | None = None, left_only: bool = False
) -> Pcm16:
    """Decode the first sound stream of a file.

    Args:
        source: The file, or its bytes, seekable.
        max_secs: Decoding ends with an error once there is more than this, whatever the header says.
        name: What messages call it; default: the path.
        left_only: Whether the other channels of a plain WAV are left out.

    Returns:
        shape (n_samples,), int16, 16 kHz mono, at least one sample; channels are averaged, or subtracted where they
        are in opposite phase.

    Raises:
        RecordingError: The file is missing, empty, damaged or holds no sound.
        TooLongError: It holds more sound than `max_secs`.
    """
    return _decode(source, max_secs, name, left_only=left_only).audio_s16()


def decode_channels(source: Path | BinaryIO, *, max_secs: float, name: str | None = None) -> list[Pcm16]:
    """Decode both sides of a file of two channels, as of a telephone call.

    Args:
        source: See `decode_sound`.
        max_secs: See `decode_sound`.
        name: See `decode_sound`.

    Returns:
        Left and right; one channel alone where the file has another number of them.

    Raises:
        RecordingError: See `decode_sound`.
        TooLongError: See `decode_sound`.
    """
    return _decode(source, max_secs, name, left_only=False).sides_s16()


def _decode(source: Path | BinaryIO, max_secs: float, name: str | None, *, left_only: bool) -> "_Kept":
    called = name or str(source if isinstance(source, Path) else "the file")
    if isinstance(source, Path):
        try:
            with source.open("rb") as opened:
                return _decode(opened, max_secs, called, left_only=left_only)
        except OSError as error:
            raise RecordingError(f"{called} cannot be read: {error.strerror or error}") from error
    start = source.read(12)
    if not start:
        raise RecordingError(f"{called} is empty")
    source.seek(0)
    kept = _Kept(called, max_secs)
    if not (start[:4] in (b"RIFF", b"RF64") and start[8:] == b"WAVE" and _read_plain_wav(source, kept, left_only)):
        source.seek(0)
        _decode_with_ffmpeg(source, kept)
    return kept


class _Kept:
    """The decoded sound so far, at 16 kHz, never more than the limit: half the sum of two channels, and half of what
    is between them.

    Args:
        name: What messages call the recording.
        max_secs: The limit.
    """

    def __init__(self, name: str, max_secs: float) -> None:
        self.name = name
        self._max_secs = max_secs
        self._max_bytes = int(max_secs * SAMPLE_RATE_HZ) * BYTES_PER_SAMPLE
        self._middle = bytearray()
        self._between = bytearray()
        self._n_channels = 0
        self._rate_hz = 0
        self._resampler: soxr.ResampleStream | None = None

    def add_pcm16(self, audio_s16: Pcm16) -> None:
        """Take sound that is 16 kHz mono already."""
        self._n_channels = max(self._n_channels, 1)
        self._middle += audio_s16.data
        if len(self._middle) > self._max_bytes:
            raise TooLongError(f"{self.name} is longer than {self._max_secs:g} s")

    def add(self, channels_f32: _Block, rate_hz: int) -> None:
        """Take sound of any rate, which may change on the way.

        Args:
            channels_f32: shape (n_channels, n_samples), float32; full scale is 1.
            rate_hz: Its rate.
        """
        if not np.isfinite(channels_f32).all():
            raise RecordingError(f"{self.name} holds samples that are not numbers")
        channels_f32 = np.clip(channels_f32, -MAX_LEVEL, MAX_LEVEL)
        n_channels = len(channels_f32)
        if rate_hz != self._rate_hz or n_channels != self._n_channels:
            self._flush()
            if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
                raise RecordingError(f"{self.name} has a sample rate of {rate_hz} Hz")
            self._rate_hz, self._n_channels = rate_hz, n_channels
            if rate_hz != SAMPLE_RATE_HZ:
                n_lanes = min(n_channels, 2)
                self._resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, n_lanes, dtype="float32")
        lanes_f32 = lanes_of(channels_f32).T
        if self._resampler:
            lanes_f32 = self._resampler.resample_chunk(lanes_f32 if n_channels > 1 else lanes_f32[:, 0])
        self._add_lanes(lanes_f32)

    def audio_s16(self) -> Pcm16:
        """All of it, as one channel."""
        middle_s16, between_s16 = self._lanes()
        return middle_s16 if between_s16 is None else one_of(middle_s16, between_s16)

    def sides_s16(self) -> list[Pcm16]:
        """All of it, left and right."""
        middle_s16, between_s16 = self._lanes()
        if between_s16 is None or self._n_channels != 2:
            return [self.audio_s16()]
        middle, between = middle_s16.astype(np.int32), between_s16.astype(np.int32)
        return [np.clip(side, -32768, 32767).astype(np.int16) for side in (middle + between, middle - between)]

    def _lanes(self) -> tuple[Pcm16, Pcm16 | None]:
        self._flush()
        if not self._middle:
            raise RecordingError(f"{self.name} holds no sound")
        middle_s16 = np.frombuffer(self._middle, np.int16)
        if not self._between:
            return middle_s16, None
        between_s16 = np.zeros(len(middle_s16), np.int16)
        between_s16[: len(self._between) // BYTES_PER_SAMPLE] = np.frombuffer(self._between, np.int16)
        return middle_s16, between_s16

    def _flush(self) -> None:
        if self._resampler:
            n_lanes = min(self._n_channels, 2)
            empty_f32 = np.zeros((0, n_lanes) if n_lanes > 1 else 0, np.float32)
            last_f32 = self._resampler.resample_chunk(empty_f32, last=True)
            self._resampler = None
            self._add_lanes(last_f32)

    def _add_lanes(self, lanes_f32: _Block) -> None:
        """Take shape (n_samples,) or (n_samples, 1 or 2) at 16 kHz."""
        lanes_s16 = _pcm16_of(lanes_f32 if lanes_f32.ndim == 2 else lanes_f32[:, None])
        if lanes_s16.shape[1] > 1:
            self._between += bytes(len(self._middle) - len(self._between))
            self._between += np.ascontiguousarray(lanes_s16[:, 1]).data
        self.add_pcm16(np.ascontiguousarray(lanes_s16[:, 0]))


def _pcm16_of(mono_f32: _Block) -> Pcm16:
    return np.clip(np.rint(mono_f32 * 32768.0), -32768, 32767).astype(np.int16)


def _read_plain_wav(source: BinaryIO, kept: _Kept, left_only: bool) -> bool:
    """Read a WAV that needs no codec; False if it is none, or says that it is empty, as unfinished files do."""
    try:
        with soundfile.SoundFile(source) as wav:
            if wav.subtype not in PLAIN_SUBTYPES or not wav.frames:
                return False
            if (wav.samplerate, wav.channels, wav.subtype) == (SAMPLE_RATE_HZ, 1, "PCM_16"):
                for block_s16 in _blocks(wav, "int16"):
                    kept.add_pcm16(block_s16)
            else:
                for block_f32 in _blocks(wav, "float32"):
                    channels_f32 = block_f32.T[:1] if left_only else block_f32.T
                    kept.add(channels_f32, wav.samplerate)
    except soundfile.LibsndfileError:
        return False
    return True


def _blocks(wav: soundfile.SoundFile, dtype: str) -> Iterator[Any]:
    n_frames = max(1, BLOCK_SAMPLES // wav.channels)
    while len(block := wav.read(n_frames, dtype=dtype, always_2d=dtype == "float32")):
        yield block


def _decode_with_ffmpeg(source: BinaryIO, kept: _Kept) -> None:
    try:
        with av.open(source, "r", options=FFMPEG_OPTIONS, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise RecordingError(f"{kept.name} holds no sound")
            # Decoding a stream without a decoder would end the process.
            known = [stream for stream in container.streams.audio if stream.codec_context]
            if not known:
                raise RecordingError(f"{kept.name} is of an unknown codec")
            for frame in _frames(container, known[0]):
                kept.add(_float32_of(frame), frame.sample_rate)
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        raise RecordingError(f"{kept.name} is not a sound file, or it is damaged") from error


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """The frames of a stream; as every player does, it goes on after a damaged packet."""
    packets = container.demux(stream)
    n_frames = 0
    damage: Exception | None = None
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            for frame in packet.decode():
                n_frames += 1
                yield frame
        except (av.error.InvalidDataError, IndexError) as error:
            # An IndexError is PyAV's for a stream that turns up after the start of the file.
            damage = error
    if damage and not n_frames:
        raise damage


def _float32_of(frame: AudioFrame) -> _Block:
    """shape (n_channels, n_samples), float32, full scale is 1."""
    samples = frame.to_ndarray()
    kind = frame.format.name.removesuffix("p")
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if kind in ("flt", "dbl"):
        return samples.astype(np.float32, copy=False)
    zero = 128 if kind == "u8" else 0
    return ((samples.astype(np.float32) - zero) / FULL_SCALE[kind]).astype(np.float32, copy=False)
