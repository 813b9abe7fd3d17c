"""The first message on a WebSocket, read on its way, so that it is known which worker has the call.

In:  bytes of a client after its handshake.   Out: the message's text, or that it will not be known.
"""

import logging

from websockets.exceptions import WebSocketException
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

# A join is short; a longer message is for whoever has the connection.
MAX_BYTES = 64 * 1024
_quiet = logging.getLogger("sotto.first-message")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class FirstMessage:
    """Reads until it knows.

    Attributes:
        text: The message; empty if there is none that can be read. None until that is known.
    """

    def __init__(self) -> None:
        self.text: str | None = None
        self._parser = Protocol(Side.SERVER, state=OPEN, max_size=MAX_BYTES, logger=_quiet)
        self._data = b""
        self._n_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they come.

        Args:
            data: Of the client.
        """
        if self.text is not None:
            return
        self._n_bytes += len(data)
        try:
            self._parser.receive_data(data)
        except WebSocketException:
            self.text = ""
            return
        for event in self._parser.events_received():
            if self.text is None and isinstance(event, Frame):
                self._take(event)
        if self.text is None and (self._n_bytes > MAX_BYTES or self._parser.close_expected() or self._has_failed()):
            self.text = ""

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.BINARY or frame.opcode is Opcode.CLOSE:
            self.text = ""
        elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._data += bytes(frame.data)
            if frame.fin:
                self.text = self._data.decode("utf-8", "replace")

    def _has_failed(self) -> bool:
        sent = self._parser.close_sent
        return sent is not None and sent.code != CloseCode.NORMAL_CLOSURE
