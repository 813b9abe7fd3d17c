"""One conversation's recognizer, called from the event loop and working on the engine's threads.

Calls on a recognizer never overlap: the service awaits each before the next, and the last reset waits for what is
still running when the conversation ends.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, TypeVar

from loguru import logger

from processors.stt.recognizer import MendsItself, Recognizer, Transcript

_Result = TypeVar("_Result")


class RecognizerCalls:
    """See `Recognizer` for what each call does and raises.

    Args:
        recognizer: This conversation's.
        threads: The engine's own.
    """

    def __init__(self, recognizer: Recognizer, threads: Executor) -> None:
        self._recognizer = recognizer
        self._threads = threads
        self._last_call: Future[Any] | None = None

    async def accept(self, pcm16: bytes) -> str:
        """Take more audio; the text so far."""
        return await self._on_thread(lambda: self._recognizer.accept(pcm16))

    async def pause(self) -> Transcript:
        """The transcript so far."""
        return await self._on_thread(self._recognizer.pause)

    async def finish(self) -> Transcript:
        """The transcript; the next utterance begins."""
        return await self._on_thread(self._recognizer.finish)

    async def reset(self) -> None:
        """Forget the utterance; never raises."""
        await self._on_thread(self._reset)

    def take_trouble(self) -> str | None:
        """What has failed and been mended since it was last asked."""
        return self._recognizer.take_trouble() if isinstance(self._recognizer, MendsItself) else None

    def end(self) -> None:
        """Forget the utterance once nothing is running any more; no call may follow."""
        if self._last_call is None or self._last_call.done():
            self._submit_reset()
        else:
            self._last_call.add_done_callback(lambda _: self._submit_reset())

    async def _on_thread(self, call: Callable[[], _Result]) -> _Result:
        running = self._threads.submit(call)
        self._last_call = running
        return await asyncio.wrap_future(running)

    def _reset(self) -> None:
        try:
            self._recognizer.reset()
        # What was heard is forgotten either way, and the next call tells what is wrong.
        except Exception as error:  # noqa: BLE001
            logger.warning(f"speech-to-text: reset: {error}")

    def _submit_reset(self) -> None:
        # The engine may have been closed meanwhile, and its threads ended.
        with suppress(RuntimeError):
            self._threads.submit(self._reset)
