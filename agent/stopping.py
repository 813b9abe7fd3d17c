"""Signals: SIGINT and SIGTERM ask a command to end; it then has three seconds to do so in order."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from loguru import logger

from processors.child_process import kill_children

Host = TypeVar("Host")


# Of the three seconds, for models that are being loaded.
LOADING_SECS = 2.0


def stop_on_signals() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set, instead of what they do otherwise."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows has no such handlers; Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(number, stopping.set)
    return stopping


async def load_unless_stopped(
    start: Callable[[], Coroutine[Any, Any, Host]], stopping: asyncio.Event, exit_status: int
) -> Host:
    """Load the models; a signal meanwhile ends the process.

    Args:
        start: Loads them.
        stopping: From `stop_on_signals`.
        exit_status: The process's, if it is stopped.

    Raises:
        EngineUnavailableError: A stage has no usable engine.
    """
    stopped = asyncio.create_task(stopping.wait())
    loading = asyncio.create_task(start())
    await asyncio.wait([loading, stopped], return_when=asyncio.FIRST_COMPLETED)
    if not loading.done():
        await asyncio.wait([loading], timeout=LOADING_SECS)
    if not loading.done():
        # Threads that load a model cannot be interrupted.
        logger.info("stopped while the models were being loaded")
        kill_children()
        os._exit(exit_status)
    stopped.cancel()
    return loading.result()
