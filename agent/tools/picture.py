"""A still picture as a page sends it: known by its own bytes, bounded, and never decoded here.

In:  bytes.   Out: a Picture, or a PictureError.
Sources: PNG specification, 5.2 and 11.2.1; ITU-T T.81, annex B.
"""

import base64
from dataclasses import dataclass

from agent.errors import SottoError

MAX_BYTES = 1_500_000
MAX_SIDE_PX = 1_600
# Before a JPEG file's frame header, and bytes that fill.
MAX_SEGMENTS = 1_000
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
# Segments that hold the size (B.2.2); what is left out of the row are tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA


class PictureError(SottoError):
    """It is no picture that is taken; the message says why."""


@dataclass(frozen=True)
class Picture:
    """A picture that was checked.

    Attributes:
        data: A whole PNG or JPEG file.
        mime: `image/png` or `image/jpeg`.
        width: In pixels, 1 to MAX_SIDE_PX.
        height: The same.
    """

    data: bytes
    mime: str
    width: int
    height: int

    @property
    def url(self) -> str:
        """The picture as a data URL."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode('ascii')}"


def read_picture(data: bytes) -> Picture:
    """Check what was sent.

    Args:
        data: Anything.

    Raises:
        PictureError: It is too large, in bytes or in pixels, cut off, or neither PNG nor JPEG.
    """
    if len(data) > MAX_BYTES:
        raise PictureError(f"a picture of {len(data)} bytes is larger than {MAX_BYTES}")
    if data.startswith(_PNG) and data.endswith(_PNG_END) and data[12:16] == b"IHDR":
        mime, size = "image/png", (_number(data, 16, 4), _number(data, 20, 4))
    elif data.startswith(_JPEG) and data.endswith(_JPEG_END):
        mime, size = "image/jpeg", _jpeg_size(data)
    else:
        raise PictureError("it is neither a whole PNG nor a whole JPEG file")
    width, height = size
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise PictureError(f"a picture of {width} x {height} pixels; each side has 1 to {MAX_SIDE_PX}")
    return Picture(data, mime, width, height)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height of the frame header."""
    at = len(_JPEG)
    for _ in range(MAX_SEGMENTS):
        if at + 4 > len(data) or data[at] != 0xFF:
            break
        kind = data[at + 1]
        if kind == 0xFF:
            at += 1
            continue
        if kind in _FRAMES and at + 9 <= len(data):
            return _number(data, at + 7, 2), _number(data, at + 5, 2)
        length = _number(data, at + 2, 2)
        if kind == _SCAN or length < 2:
            break
        at += 2 + length
    raise PictureError("it is a JPEG file without a frame header")


def _number(data: bytes, at: int, n_bytes: int) -> int:
    return int.from_bytes(data[at : at + n_bytes], "big")
