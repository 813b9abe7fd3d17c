"""One pull of a model in a process of its own, which can be ended at any moment; what has come stays on disk.

In:  an order.   Out: what the process tells, line by line.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from typing import IO, Any, cast

from agent.models import pull_worker
from agent.models.pull_worker import Order
from processors.child_process import kill_with_its_own, start_child
from processors.errors import EngineUnavailableError

Told = dict[str, Any]
FAILED = {"what": "the download’s process ended", "press": "try again"}


class PullProcess:
    """Runs one pull; `end` cuts it short.

    Args:
        order: What is to be pulled.
        told: Called on the event loop with each line but the last.
    """

    def __init__(self, order: Order, told: Callable[[Told], None]) -> None:
        self._order = order
        self._told = told
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ended = False

    async def run(self) -> Told:
        """Carry the order out.

        Returns:
            The last line: `ready`, or `what` went wrong and what to `press`.
        """
        loop = asyncio.get_running_loop()
        return await asyncio.to_thread(self._run, loop)

    def end(self) -> None:
        """Cut it short; `run` returns at once."""
        self._is_ended = True
        if self._process:
            # Package tools are programs of their own.
            kill_with_its_own(self._process)

    def _run(self, loop: asyncio.AbstractEventLoop) -> Told:
        try:
            # -P: the folder that it is started in is not its own.
            process = start_child([sys.executable, "-P", "-m", pull_worker.__name__])
        except (OSError, EngineUnavailableError) as error:
            return {"what": f"the download’s process cannot be started ({error})", "press": "try again"}
        self._process = process
        if self._is_ended:
            process.kill()
        last: Told = FAILED
        try:
            _send(process, self._order.line())
            for line in cast(IO[bytes], process.stdout):
                # Package tools, which it runs, may write as well; what is cut short is no line.
                if (told := _read(line)) is None:
                    continue
                last = told
                if not {"ready", "what"} & last.keys():
                    loop.call_soon_threadsafe(self._told, last)
        finally:
            _close(process)
        return last if {"ready", "what"} & last.keys() else FAILED


def _read(line: bytes) -> Told | None:
    try:
        told: object = json.loads(line)
    except ValueError:
        return None
    return cast(Told, told) if isinstance(told, dict) else None


def _send(process: "subprocess.Popen[bytes]", line: bytes) -> None:
    # A process that was killed reads nothing.
    with contextlib.suppress(OSError):
        pipe = cast(IO[bytes], process.stdin)
        pipe.write(line)
        pipe.flush()


def _close(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            cast(IO[bytes], pipe).close()
