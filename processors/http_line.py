"""One HTTP connection that another thread can cut, and an answer that is read from it piece by piece."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx


class Line:
    """One connection, kept for the next request, that can be cut while a request waits on it.

    httpx bounds each read alone: headers that drip, or one `100 Continue` after another, would last for ever.

    Args:
        client: Makes the connection.
        end: Ends what waits on it, where the connection is not the client's own.
    """

    def __init__(self, client: httpx.Client, end: Callable[[], None] | None = None) -> None:
        self.client = client
        self._end = end
        self.overdue = False
        self._socket: socket.socket | None = None

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """See httpcore's `trace` extension, which shows the connection before an answer has come."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
            if self.overdue:
                self.cut()

    @contextmanager
    def bounded(self, timeout_secs: float) -> Iterator[None]:
        """Cut the line unless the block ends in time; once it has ended, nothing cuts it."""
        timer = threading.Timer(timeout_secs, self.cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def cut(self) -> None:
        """End whatever waits on it, in another thread."""
        # Before the socket is read: `trace` does it the other way round, so one of the two finds both.
        self.overdue = True
        if self._end is not None:
            self._end()
        elif self._socket is not None:
            # A shutdown ends a read in another thread, a close does not. That of SSLSocket would drop the encryption
            # first, and the rest of an upload might leave in the clear.
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class Streamed:
    """An answer that comes piece by piece.

    Attributes:
        is_stopped: Whether `stop` has ended it.
        content_type: In lower case, with its parameters; empty where the server names none.
    """

    def __init__(self, line: Line) -> None:
        self.is_stopped = False
        self.content_type = ""
        self._line: Line | None = line
        self._lock = threading.Lock()
        self._pieces: Iterator[bytes] = iter(())

    def begin(self, response: httpx.Response) -> None:
        """Its headers have come."""
        self.content_type = response.headers.get("content-type", "").lower()
        self._pieces = response.iter_bytes()

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def stop(self) -> None:
        """End it, from any thread, even while another waits for its next piece."""
        with self._lock:
            self.is_stopped = True
            if self._line is not None:
                self._line.cut()

    def end(self) -> None:
        """The line belongs to it no longer."""
        with self._lock:
            self._line = None
