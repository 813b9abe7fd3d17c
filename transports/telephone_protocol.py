"""What a telephone's line has to know of the protocol that it speaks; one subclass for each.

In:  a message of the far side.   Out: what it says (`Said`), or a ProtocolError.
In:  sound, a mark, a cut, the end.   Out: messages for the far side.

ProtocolError    the far side does not keep to the protocol; a code of RFC 6455, and one line
"""

from dataclasses import dataclass, field

from transports.websocket_line import INVALID_DATA

TELEPHONE_RATE_HZ = 8_000
KEYS = frozenset("0123456789*#")


class ProtocolError(Exception):
    """The far side sent what it must not.

    Args:
        reason: One line.
        code: Of the close frame (RFC 6455, section 7.4.1).
    """

    def __init__(self, reason: str, code: int = INVALID_DATA) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class Start:
    """How a call begins.

    Attributes:
        stream: What the far side calls this stream.
        parameters: What was given to the stream to bring along.
    """

    stream: str
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """What one message says; nothing, if it is of no concern.

    Attributes:
        sound: s16le mono at the protocol's rate.
        key: One that the caller has pressed.
        played: The name of a mark up to which all sound was played, or dropped.
        over: Why the call is over.
    """

    sound: bytes = b""
    key: str = ""
    played: str = ""
    over: str = ""


class TelephoneProtocol:
    """One stream's protocol.

    Attributes:
        start: How the stream began.
        rate_hz: Of its sound, both ways.
        lead_secs: How far ahead of its time sound is sent; what it cannot take back is sent late.
    """

    rate_hz = TELEPHONE_RATE_HZ
    lead_secs = 0.06

    def __init__(self, start: Start) -> None:
        self.start = start

    async def read(self, message: str | bytes) -> Said:
        """What a message of the far side says.

        Raises:
            ProtocolError: It is none.
        """
        raise NotImplementedError

    async def sound(self, pcm16: bytes) -> str | bytes:
        """A message that has the far side play sound, after what it has."""
        raise NotImplementedError

    def clear(self) -> str | None:
        """One that has it drop what it has not played; None where it keeps nothing."""
        return None

    def mark(self, name: str) -> str | None:
        """One that has it say when all before was played; None where it cannot."""
        return None

    def hang_up(self) -> str | bytes | None:
        """One that ends the call; None where closing the line does."""
        return None
