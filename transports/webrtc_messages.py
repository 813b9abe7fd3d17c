"""A WebRTC peer's data channel within bounds: what it may send, and how long it may leave what it is sent.

In:  messages of the channel.   Out: those that a peer may send, to Pipecat's connection; what is none of the page's is
     left alone. `trouble` says why a peer has to be let go of.

Pipecat would write what it cannot read into the log, whole, one line a message, and act on signalling of its own.
"""

import time
from collections.abc import Callable
from typing import Any

from aiortc import RTCDataChannel, RTCPeerConnection
from loguru import logger
from pipecat.transports.smallwebrtc.connection import SIGNALLING_TYPE, SmallWebRTCConnection

from transports.allowance import Allowance
from transports.websocket_line import MAX_TEXT_CHARS, MESSAGE_BURST, MESSAGES_PER_SEC, parse_message

# SCTP repeats what is lost, and waits longer each time; a network that hung for some seconds takes as long again.
NOT_READ_SECS = 15.0
# How often the log is told that messages were left alone.
TELL_SECS = 60.0
# What the listeners that were there are told of.
PASSED = "message that may pass"


class ReadWatch:
    """Tells when a peer does not read what it is sent.

    Args:
        pc: The peer's.
    """

    def __init__(self, pc: RTCPeerConnection) -> None:
        self._pc = pc
        self._taken: object = None
        self._taken_at_secs = time.monotonic()

    def trouble(self) -> str | None:
        """Why the peer has to be let go of; None while it need not. To be asked every second or so."""
        # aiortc tells how much waits to be sent, but not what has been sent and is not acknowledged.
        sctp = self._pc.sctp
        taken = getattr(sctp, "_last_sacked_tsn", None)
        if taken != self._taken or not getattr(sctp, "_sent_queue", None):
            self._taken, self._taken_at_secs = taken, time.monotonic()
        return "does not read what it is sent" if time.monotonic() - self._taken_at_secs > NOT_READ_SECS else None


class PeerMessages:
    """One peer's messages both ways.

    Args:
        connection: The peer's, whose channel has not opened yet.
    """

    def __init__(self, connection: SmallWebRTCConnection) -> None:
        self._read = ReadWatch(connection.pc)
        self._allowance = Allowance(MESSAGES_PER_SEC, MESSAGE_BURST)
        self._trouble: str | None = None
        self._n_dropped = 0
        self._told_secs = float("-inf")
        connection.pc.on("datachannel", self._guard)

    def trouble(self) -> str | None:
        """Why the peer has to be let go of; None while it need not. To be asked every second or so."""
        return self._read.trouble() or self._trouble

    def _guard(self, channel: RTCDataChannel) -> None:
        """Stand before whoever listens to the channel."""
        listeners: list[Callable[[Any], Any]] = channel.listeners("message")
        channel.remove_all_listeners("message")

        for listener in listeners:
            channel.add_listener(PASSED, listener)

        @channel.on("message")
        def on_message(message: object) -> None:
            if self._may_pass(message):
                channel.emit(PASSED, message)

    def _may_pass(self, message: object) -> bool:
        if self._trouble:
            return False
        if not self._allowance.take(1.0):
            self._trouble = f"sends too many messages: {MESSAGES_PER_SEC:.0f} a second are taken"
            return False
        if self._is_readable(message):
            return True
        self._n_dropped += 1
        if time.monotonic() - self._told_secs > TELL_SECS:
            self._told_secs = time.monotonic()
            logger.warning(f"messages of a peer that nobody can read were left alone, {self._n_dropped} so far")
        return False

    @staticmethod
    def _is_readable(message: object) -> bool:
        """Whether it is a ping, or an object with a type that a page may send."""
        if not isinstance(message, str) or len(message) > MAX_TEXT_CHARS:
            return False
        if message.startswith("ping"):
            return True
        content = parse_message(message)
        return content is not None and content["type"] != SIGNALLING_TYPE
