"""What passes between a process that holds conversations and the one that holds the engines, over a Unix socket.

In:  a head (a JSON object) and a body (sound, or numbers as they lie in memory).   Out: bytes, and back.

A message is two lengths of four bytes each, the most significant first, then the head, then the body. Nothing in it is
ever run, and whoever sends more than is allowed is hung up on.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from processors.errors import EngineError

LENGTHS = struct.Struct(">II")
MAX_HEAD_BYTES = 1_000_000
MAX_BODY_BYTES = 4_000_000
# Sound is sent in pieces of so much at most: half a minute at 16 kHz.
PIECE_BYTES = 1_000_000

Head = dict[str, Any]
Message = tuple[Head, bytes]


class WireError(EngineError):
    """What came is no message."""


def packed(head: Mapping[str, Any], body: bytes | memoryview = b"") -> bytes:
    """A message as bytes.

    Args:
        head: What JSON can hold.
        body: At most MAX_BODY_BYTES.

    Raises:
        WireError: It is too long.
    """
    text = json.dumps(head, separators=(",", ":")).encode()
    _check(len(text), len(body))
    return b"".join((LENGTHS.pack(len(text), len(body)), text, body))


class Unpacker:
    """Finds the messages in bytes that come in any portions; holds one message at most that is not whole."""

    def __init__(self) -> None:
        self._gathered = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole by now.

        Args:
            data: What has come.

        Raises:
            WireError: It is no message; nothing that follows is one.
        """
        self._gathered += data
        while len(self._gathered) >= LENGTHS.size:
            n_head, n_body = LENGTHS.unpack_from(self._gathered)
            _check(n_head, n_body)
            end = LENGTHS.size + n_head + n_body
            if len(self._gathered) < end:
                return
            head = bytes(self._gathered[LENGTHS.size : LENGTHS.size + n_head])
            body = bytes(self._gathered[LENGTHS.size + n_head : end])
            del self._gathered[:end]
            yield head_of(head), body


def head_of(text: bytes) -> Head:
    """A head.

    Raises:
        WireError: It is no JSON object.
    """
    try:
        head = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError("a message between the processes is no JSON") from error
    if not isinstance(head, dict):
        raise WireError("a message between the processes is no JSON object")
    return head


def _check(n_head: int, n_body: int) -> None:
    if n_head > MAX_HEAD_BYTES or n_body > MAX_BODY_BYTES:
        raise WireError(f"a message between the processes is too long: {n_head} and {n_body} bytes")
