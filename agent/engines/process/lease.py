"""Engines of the engine process that a conversation holds: they are not ended while it may use them.

In:  what a conversation's settings change.   Out: the key by which the engines are asked.

The hold is a connection, so that it ends with whoever holds it. After a restart of the engine process the key is as
before, but has to be taken anew.
"""

import threading

from agent.engines.process.changes import Changes
from agent.engines.process.line import RESTART_SECS, BrokenLineError, Exchange, Line, Patience
from agent.engines.process.wire import Head


class Lease:
    """One hold; it ends with `close`, or with the last that knows it.

    Args:
        exchange: Reaches the engine process.
        changes: None: the server's own engines, which are there without one.

    Attributes:
        key: By which the engines are asked.
    """

    def __init__(self, exchange: Exchange, changes: Changes | None = None) -> None:
        self.exchange = exchange
        self.key = ""
        self._changes = changes
        self._line: Line | None = None
        self._lock = threading.Lock()

    def take(self) -> Head:
        """Hold the engines; blocks while they are loaded.

        Returns:
            What they are; see `HeldEngines.as_json`.

        Raises:
            EngineUnavailableError: One cannot be had, or there is no engine process.
            OptionError: Too many are loaded.
        """
        if self._changes is None:
            return self.exchange.ask({"kind": "describe"})[0]
        patience = Patience(RESTART_SECS)
        with self._lock:
            while True:
                self._hang_up()
                try:
                    line = Line(self.exchange.path)
                    try:
                        head, _ = line.ask({"kind": "lease", "changes": self._changes})
                    except BaseException:
                        line.close()
                        raise
                except BrokenLineError as error:
                    patience.wait(error)
                    continue
                self._line, self.key = line, str(head["lease"])
                return head

    def close(self) -> None:
        """Let the engines go."""
        with self._lock:
            self._hang_up()

    def __del__(self) -> None:
        self._hang_up()

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line:
            line.close()
