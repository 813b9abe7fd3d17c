"""The stereo WAV of a conversation, written bit by bit: whole after every write, whatever becomes of the process.

In:  blocks of both sides, 16-bit.   Out: a file that says of itself which side is which.
"""

import struct
from pathlib import Path

import numpy as np
import soundfile

from transports.errors import RecordingError
from transports.sound_file import Pcm16

N_CHANNELS = 2
BYTES_PER_FRAME = 2 * N_CHANNELS
# The comment of a file whose channels are the two sides of a conversation.
CONVERSATION_COMMENT = "left: the user's side; right: the agent"
# Sizes in a WAV have 32 bits; at 24 kHz this is twelve hours.
MAX_DATA_BYTES = 2**32 - 1024


class StereoFile:
    """Open from the start; every call blocks.

    Args:
        path: Replaced if it is there.
        rate_hz: Of both sides.
        after_secs: The file that is there goes on behind so much silence; None: it is replaced.

    Attributes:
        start_secs: Where in the file it goes on; 0 in a new one.

    Raises:
        RecordingError: It cannot be written.
    """

    def __init__(self, path: Path, rate_hz: int, *, after_secs: float | None = None) -> None:
        self._path = path
        self._rate_hz = rate_hz
        self._n_data_bytes = 0
        try:
            if after_secs is None:
                self._file = path.open("wb", buffering=0)
                self._file.write(_header(rate_hz, 0))
            else:
                self._file = path.open("r+b", buffering=0)
                self._go_on(round(after_secs * rate_hz))
        except OSError as error:
            raise self._problem(error) from error
        self.start_secs = self._n_data_bytes / BYTES_PER_FRAME / rate_hz

    def _go_on(self, n_silent: int) -> None:
        """Silence behind what is there; the file system keeps it as a hole where it can."""
        header_bytes = len(_header(self._rate_hz, 0))
        n_there = max(0, self._path.stat().st_size - header_bytes) // BYTES_PER_FRAME
        self._n_data_bytes = (n_there + n_silent) * BYTES_PER_FRAME
        if self._n_data_bytes > MAX_DATA_BYTES:
            self._file.close()
            raise RecordingError(f"recording {self._path.name} has become too long for a WAV file")
        self._file.truncate(header_bytes + n_there * BYTES_PER_FRAME)
        self._file.truncate(header_bytes + self._n_data_bytes)
        self._file.write(_header(self._rate_hz, self._n_data_bytes))
        self._file.seek(0, 2)

    def write(self, left_s16: Pcm16, right_s16: Pcm16) -> None:
        """Write the next samples of both sides.

        Args:
            left_s16: What the user's side sent, shape (n_samples,).
            right_s16: What the agent played, as many.

        Raises:
            RecordingError: They cannot be written; what was written before stays whole.
        """
        data = np.stack((left_s16, right_s16), axis=1).astype("<i2").tobytes()
        if self._n_data_bytes + len(data) > MAX_DATA_BYTES:
            raise RecordingError(f"recording {self._path.name} has become too long for a WAV file")
        try:
            n_written = self._file.write(data)
            self._n_data_bytes += n_written // BYTES_PER_FRAME * BYTES_PER_FRAME
            header = _header(self._rate_hz, self._n_data_bytes)
            self._file.seek(0)
            self._file.write(header)
            self._file.seek(len(header) + self._n_data_bytes)
        except OSError as error:
            raise self._problem(error) from error
        if n_written < len(data):
            raise RecordingError(f"recording {self._path.name} cannot be written: the disk is full")

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def _problem(self, error: OSError) -> RecordingError:
        return RecordingError(f"recording {self._path.name} cannot be written: {error.strerror or error}")


def is_conversation(path: Path) -> bool:
    """Whether a sound file's channels are the two sides of a conversation."""
    try:
        with soundfile.SoundFile(path) as wav:
            return wav.channels == N_CHANNELS and wav.comment == CONVERSATION_COMMENT
    except (OSError, soundfile.LibsndfileError):
        return False


def _header(rate_hz: int, n_data_bytes: int) -> bytes:
    """RIFF with `fmt `, a comment, and the start of `data` (Multimedia Programming Interface 1.0, 1991)."""
    comment = CONVERSATION_COMMENT.encode() + b"\0"
    comment += b"\0" * (len(comment) % 2)
    info = b"INFO" + _chunk(b"ICMT", comment)
    format_ = struct.pack("<HHIIHH", 1, N_CHANNELS, rate_hz, rate_hz * BYTES_PER_FRAME, BYTES_PER_FRAME, 16)
    before = b"WAVE" + _chunk(b"fmt ", format_) + _chunk(b"LIST", info)
    data = b"data" + struct.pack("<I", n_data_bytes)
    return b"RIFF" + struct.pack("<I", len(before) + len(data) + n_data_bytes) + before + data


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content
