"""Sound files that tests make: any container and codec that PyAV can write, and headers that lie."""

import struct
from io import BytesIO

import av
import numpy as np

from transports.sound_file import Pcm16


def tone_s16(duration_secs: float, rate_hz: int = 16_000, *, hz: float = 440.0) -> Pcm16:
    """A tone at a quarter of full scale; shape (n_samples,)."""
    at = np.arange(round(duration_secs * rate_hz))
    return np.rint(8192 * np.sin(2 * np.pi * hz * at / rate_hz)).astype(np.int16)


def encoded(audio_s16: Pcm16, rate_hz: int, container: str, codec: str, **metadata: str) -> bytes:
    """A sound file.

    Args:
        audio_s16: shape (n_samples,) or (n_samples, n_channels) with one or two channels.
        rate_hz: Its rate.
        container: FFmpeg's name of the format, such as `mp3` or `ipod`.
        codec: FFmpeg's name of the encoder.
        metadata: Tags.
    """
    layout = "stereo" if audio_s16.ndim == 2 else "mono"
    file = BytesIO()
    with av.open(file, "w", format=container) as output:
        output.metadata.update(metadata)
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(audio_s16.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate_hz
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return file.getvalue()


def wav_of(
    audio_s16: Pcm16, *, rate_hz: int = 16_000, claimed_bytes: int | None = None, riff_bytes: int | None = None
) -> bytes:
    """A mono 16-bit WAV.

    Args:
        audio_s16: shape (n_samples,).
        rate_hz: Its rate.
        claimed_bytes: What the header says of the data; default: the truth.
        riff_bytes: What the header says of the file; default: what follows from the claim.
    """
    data = audio_s16.astype("<i2").tobytes()
    claimed = len(data) if claimed_bytes is None else claimed_bytes
    riff = (36 + claimed) % 2**32 if riff_bytes is None else riff_bytes
    header = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    return header + struct.pack("<4sI", b"data", claimed) + data


def silent_bomb(duration_secs: float) -> bytes:
    """FLAC of silence: an hour in 0.7 MB."""
    return encoded(np.zeros(round(duration_secs * 16_000), np.int16), 16_000, "flac", "flac")
