"""Starts the real `sotto serve` for a test, in a process of its own, and ends that process."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_TIMEOUT_SECS = 60
_READY = re.compile(r"ready: (http://[\d.]+:\d+)")


class Served:
    """A running server.

    Attributes:
        url: Its address.
        process: Its process.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        """Wait for the line that names the address."""
        assert self._ready.wait(START_TIMEOUT_SECS), "".join(self.lines)
        assert self.url, "".join(self.lines)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(20)

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.lines.append(line)
                match = _READY.search(line)
                if match:
                    self.url = match.group(1)
                    self._ready.set()
        self._ready.set()

    def close(self) -> None:
        """End the process for good."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()


@contextmanager
def serving(tmp_path: Path, *arguments: str) -> Iterator[Served]:
    """Serve on a free port with the bundled engines.

    Args:
        tmp_path: Working directory, so that no configuration of the user is read.
        arguments: Further arguments of `sotto serve`.
    """
    command = [sys.executable, "-m", "agent.cli", "serve", "--port", "0", "--llm", "embedded", *arguments]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "SOTTO_MODELS_DIR": str(tmp_path / "models")}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment)
    served = Served(process)
    try:
        served.wait_until_ready()
        yield served
    finally:
        served.close()
