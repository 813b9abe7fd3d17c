"""Signals: SIGINT and SIGTERM ask a command to end; it then has three seconds to do so in order."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from loguru import logger

from agent.early_signals import SIGNALLED_STATUS, SIGNALS
from processors.child_process import kill_children

Host = TypeVar("Host")


# Of the three seconds, for models that are being loaded.
LOADING_SECS = 2.0


class Stopping(asyncio.Event):
    """Set once the command is to end.

    Attributes:
        exit_status: Of a command that a signal cut short: 130 by SIGINT, 143 by SIGTERM, as a shell gives them.
        may_drain: Whether what is under way may come to its end: it was asked for by SIGTERM, and by nobody at a key.
        at_once: Set by a second signal.
    """

    exit_status = SIGNALLED_STATUS + signal.SIGINT
    may_drain = False

    def __init__(self) -> None:
        super().__init__()
        self.at_once = asyncio.Event()

    def stop(self, number: signal.Signals) -> None:
        """Take a signal."""
        if self.is_set():
            self.at_once.set()
            return
        self.exit_status = SIGNALLED_STATUS + number
        self.may_drain = number is signal.SIGTERM
        self.set()


def stop_on_signals() -> Stopping:
    """An event that SIGINT and SIGTERM set, instead of what they do otherwise."""
    stopping = Stopping()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        # Windows has no such handlers; what the command has set before stays.
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stopping.stop, number)
    return stopping


async def load_unless_stopped(start: Callable[[], Coroutine[Any, Any, Host]], stopping: Stopping) -> Host:
    """Load the models, and say so; a signal meanwhile ends the process, unless they are there at once.

    Args:
        start: Loads them.
        stopping: From `stop_on_signals`.

    Raises:
        EngineUnavailableError: A stage has no usable engine.
    """
    logger.info("loading the models ...")
    stopped = asyncio.create_task(stopping.wait())
    loading = asyncio.create_task(start())
    await asyncio.wait([loading, stopped], return_when=asyncio.FIRST_COMPLETED)
    if not loading.done():
        await asyncio.wait([loading], timeout=LOADING_SECS)
    if not loading.done():
        # Threads that load a model cannot be interrupted.
        logger.info("stopped while the models were being loaded")
        kill_children()
        os._exit(stopping.exit_status)
    stopped.cancel()
    return loading.result()
