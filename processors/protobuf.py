"""Protocol Buffers' own encoding, as far as a reader of ONNX files needs it: fields are found, and messages written.

In:  bytes of a message.   Out: where each field lies; or the bytes of a field.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

VARINT = 0
LENGTH_DELIMITED = 2
_FIXED_BYTES = {1: 8, 5: 4}
_MAX_VARINT_BYTES = 10

Span = tuple[int, int]  # start and end in the data


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        number: As the message's definition has it.
        kind: VARINT, LENGTH_DELIMITED or a fixed width's wire type.
        start: Where its key begins.
        content: Where its content begins.
        end: Where the next field begins.
    """

    number: int
    kind: int
    start: int
    content: int
    end: int

    @property
    def span(self) -> Span:
        """Where the content lies."""
        return self.content, self.end


def read_fields(data: bytes | mmap.mmap, span: Span) -> Iterator[Field]:
    """The fields of a message; contents are stepped over, so that a large one costs no more than a small one.

    Raises:
        ValueError: The data ends too early or is no message; the message says which.
    """
    at, end = span
    while at < end:
        start = at
        key, at = _read_varint(data, at, end)
        number, kind = key >> 3, key & 7
        content = at
        if kind == VARINT:
            _, at = _read_varint(data, at, end)
        elif kind == LENGTH_DELIMITED:
            length, content = _read_varint(data, at, end)
            at = content + length
        elif kind in _FIXED_BYTES:
            at += _FIXED_BYTES[kind]
        else:
            raise ValueError("it is no ONNX file")
        if at > end:
            raise ValueError("it ends too early")
        yield Field(number, kind, start, content, at)


def _read_varint(data: bytes | mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """The number at `at`, and where the next field begins."""
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if at + index >= end:
            raise ValueError("it ends too early")
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError("it is no ONNX file")


def varint_field(number: int, value: int) -> bytes:
    """A field that holds a number of at least 0."""
    return _varint(number << 3 | VARINT) + _varint(value)


def bytes_field(number: int, content: bytes) -> bytes:
    """A field that holds bytes, text in UTF-8 or another message."""
    return _varint(number << 3 | LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
