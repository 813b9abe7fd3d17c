"""A conversation's end of the lines to the engine process; all of it blocks, and is used on the engines' threads.

In:  a question.   Out: its answer; asked again of the next engine process where one has ended on it.

A process that works says so every two seconds. One that is silent for longer than it may is taken for dead: the line is
broken, and whatever was asked on it is asked again.
"""

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.engines.process.peer import ALIVE_SECS
from agent.engines.process.wire import Message, Unpacker, packed
from agent.engines.process.words import raise_error
from processors.errors import EngineError, EngineUnavailableError

READ_BYTES = 1 << 16
SILENT_SECS = 5 * ALIVE_SECS
CONNECT_SECS = 2.0
# Between two tries to reach a process that is being started.
RETRY_SECS = 0.05
# Until one that was started anew has its engines loaded.
RESTART_SECS = 60.0


class BrokenLineError(EngineError):
    """The engine process is not there, has ended or does not answer; another one may be there soon."""


class Line:
    """One connection.

    Args:
        path: The engine process's socket.

    Raises:
        BrokenLineError: Nobody listens there.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._unpacker = Unpacker()
        self._messages: list[Message] = []
        try:
            self._socket.settimeout(CONNECT_SECS)
            self._socket.connect(str(path))
            self._socket.settimeout(SILENT_SECS)
        except OSError as error:
            self._socket.close()
            raise BrokenLineError(f"the engine process does not listen at {path} ({error})") from error

    def send(self, head: Mapping[str, Any], body: bytes | memoryview = b"") -> None:
        """Send a message.

        Raises:
            BrokenLineError: It is not taken.
        """
        try:
            self._socket.sendall(packed(head, body))
        except OSError as error:
            raise BrokenLineError("the engine process takes nothing") from error

    def receive(self) -> Message:
        """The next answer.

        Raises:
            BrokenLineError: None comes.
            EngineError: It tells an error, or is none.
        """
        while True:
            while not self._messages:
                try:
                    data = self._socket.recv(READ_BYTES)
                except OSError as error:
                    raise BrokenLineError("the engine process does not answer") from error
                if not data:
                    raise BrokenLineError("the engine process has ended")
                self._messages.extend(self._unpacker.feed(data))
            head, body = self._messages.pop(0)
            if "alive" not in head:
                raise_error(head)
                return head, body

    def ask(self, head: Mapping[str, Any], body: bytes | memoryview = b"") -> Message:
        """Send a message and wait for its answer; see both."""
        self.send(head, body)
        return self.receive()

    def stop(self) -> None:
        """Wake whoever waits for an answer, which does not come; from any thread."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up: what was asked and not answered is not worked on any more."""
        self._socket.close()


class Exchange:
    """Reaches the engine process, whichever it is at the moment.

    Args:
        path: Its socket.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def ask(
        self, head: Mapping[str, Any], body: bytes | memoryview = b"", *, within_secs: float = RESTART_SECS
    ) -> Message:
        """Ask something on a line of its own, again and again while no engine process is there.

        Args:
            head: The question; nothing comes of its being asked twice.
            body: Its body.
            within_secs: For how long.

        Raises:
            EngineUnavailableError: None is there in time.
            EngineError: The answer tells an error.
        """
        patience = Patience(within_secs)
        while True:
            try:
                line = Line(self.path)
                try:
                    return line.ask(head, body)
                finally:
                    line.close()
            except BrokenLineError as error:
                patience.wait(error)


class Patience:
    """How long a question is asked again.

    Args:
        within_secs: From now.

    Attributes:
        has_waited: Whether one try has failed.
    """

    def __init__(self, within_secs: float) -> None:
        self.has_waited = False
        self._until_secs = time.monotonic() + within_secs

    def wait(self, error: BrokenLineError) -> None:
        """Wait a moment before the next try.

        Raises:
            EngineUnavailableError: It has been tried for long enough.
        """
        if time.monotonic() >= self._until_secs:
            raise EngineUnavailableError(str(error), "restart sotto serve") from error
        self.has_waited = True
        time.sleep(RETRY_SECS)
