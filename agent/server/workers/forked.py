"""The engine process as the mould forks it: back after a crash as soon as its models are loaded.

In:  the path at which it is to answer.   Out: a process as the engines' supervisor looks after it.
"""

import os
import selectors
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO

from loguru import logger

from agent.engines.process.supervisor import Started, started_alone
from agent.server.workers.mould import ENGINES, Child, Mould


class ForkedProcess:
    """See `Started`. It lives on where the mould ends: the system itself is asked whether it does.

    Args:
        child: The process.
        stdin: To its standard input.
        stdout: From its standard output.

    Raises:
        OSError: It cannot be watched.
    """

    def __init__(self, child: Child, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid = child.pid
        self.returncode: int | None = None
        self.stdin: IO[bytes] | None = stdin
        self.stdout: IO[bytes] | None = stdout
        self._child = child
        self._watched = os.fdopen(os.pidfd_open(child.pid), "rb", buffering=0)

    def poll(self) -> int | None:
        """See `subprocess.Popen`."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """See `subprocess.Popen`.

        Raises:
            subprocess.TimeoutExpired: It has not ended.
        """
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._watched, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired("engine process", timeout or 0.0)
            # How it ended the mould knows, and may not have said yet.
            status = self._child.status
            self.returncode = -signal.SIGKILL if status is None else status
        return self.returncode

    def kill(self) -> None:
        """See `subprocess.Popen`."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._watched.fileno(), signal.SIGKILL)


async def forked_engines(mould: Mould, socket_path: Path) -> Started:
    """A new engine process.

    Args:
        mould: It is forked from this; from nothing where that cannot be had.
        socket_path: Where it is to answer.

    Raises:
        EngineUnavailableError: The program is ending.
        OSError: It cannot be started.
    """
    their_stdin, stdin = os.pipe()
    stdout, their_stdout = os.pipe()
    files = os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb")
    try:
        child = await mould.forked(ENGINES + os.fsencode(socket_path), their_stdin, their_stdout)
        return ForkedProcess(child, *files)
    except OSError as error:
        # No mould, or no way to watch what it has forked (a container may forbid it), which reads no settings and ends.
        logger.warning(f"the engine process is started from nothing ({error})")
        for file in files:
            file.close()
        return await started_alone(socket_path)
    finally:
        os.close(their_stdin)
        os.close(their_stdout)
