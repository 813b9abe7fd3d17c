"""Processes that engines decode in, known to the program so that none outlives it.

In:  a command.   Out: the process with pipes to its standard input and output.
Each ends by itself when its standard input does, but only once the work at hand is done, which may take seconds.
"""

import contextlib
import subprocess
import threading
import weakref
from collections.abc import Sequence
from typing import Protocol

import psutil

from processors.errors import EngineUnavailableError

# A process that the system itself does not let go of is not waited for.
KILLED_WITHIN_SECS = 0.5

# A signal may call for the end while this very thread is starting one.
_lock = threading.RLock()
_started: "weakref.WeakSet[subprocess.Popen[bytes]]" = weakref.WeakSet()
_ending = threading.Event()


class Running(Protocol):
    """A process that was started, by `start_child` or otherwise."""

    @property
    def pid(self) -> int: ...

    def kill(self) -> None: ...


def start_child(command: Sequence[str], *, logs: bool = False) -> "subprocess.Popen[bytes]":
    """Start a process whose standard input and output are pipes.

    Args:
        command: The program and its arguments.
        logs: Whether its standard error is this program's; otherwise nobody reads it.

    Raises:
        EngineUnavailableError: The program is ending.
        OSError: It cannot be started.
    """
    with _lock:
        if _ending.is_set():
            # An engine takes a process that was killed for one that failed, and starts it anew.
            raise EngineUnavailableError("the program is ending")
        stderr = None if logs else subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
        _started.add(process)
        return process


class WorkWatch:
    """Whether a process that owes an answer works at it; one that is stopped or waits for itself uses no time of a CPU.

    Args:
        process: The process.
    """

    def __init__(self, process: Running) -> None:
        self._process = process
        self._cpu_secs = self._used_secs()

    def has_worked(self) -> bool:
        """Whether it has used a CPU since the last look; a process that is gone has not."""
        before, self._cpu_secs = self._cpu_secs, self._used_secs()
        return self._cpu_secs > before

    def _used_secs(self) -> float:
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return times.user + times.system


def kill_with_its_own(process: Running) -> None:
    """End a process, and those that it has started."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    process.kill()


def kill_children() -> None:
    """End every one that still runs, whatever it is at, and let none follow; the program exits next."""
    with _lock:
        _ending.set()
        running = [process for process in _started if process.poll() is None]
    for process in running:
        process.kill()
    # Those that others have started for this program, and what they have started.
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    for process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILLED_WITHIN_SECS)


def is_ending() -> bool:
    """Whether `kill_children` has been called: a process that has ended did not fail."""
    return _ending.is_set()
