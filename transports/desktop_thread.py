"""Calls into the sound system, which may take long or hang, beside the event loop."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def run_aside(function: Callable[[], Result], undo: Callable[[Result], None] = lambda result: None) -> Result:
    """Run on a thread of its own, for which the interpreter does not wait at its end.

    Args:
        function: What to run.
        undo: Called on that thread with a result that nobody waits for any more.

    Returns:
        What the function returns; what it raises is raised here.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def fail(error: BaseException) -> None:
        if not future.done():
            future.set_exception(error)

    def run() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            _tell(loop, fail, error)
            return
        wanted: list[bool] = []
        told = threading.Event()

        def settle() -> None:
            if not future.done():
                future.set_result(result)
                wanted.append(True)
            told.set()

        if _tell(loop, settle):
            told.wait()
        if not wanted:
            undo(result)

    threading.Thread(target=run, name="sound device", daemon=True).start()
    return await future


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *arguments: object) -> bool:
    """Call on the event loop; False if that has ended."""
    try:
        loop.call_soon_threadsafe(callback, *arguments)
    except RuntimeError:
        return False
    return True
