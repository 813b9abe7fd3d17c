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

from processors.engine_threads import EngineThreads, Job, Standby
from processors.errors import EngineHungError, MendedError
from processors.stt.recognizer import (
    BYTES_PER_SAMPLE,
    SAMPLE_RATE_HZ,
    EndsWithConversation,
    MendsItself,
    Recognizer,
    RecognizerEngine,
    Transcript,
)

# A call may take so long, and so much of what has been said; or several times what one has taken in this conversation.
# By then the turn has ended without its words, but what is said next is heard.
PATIENCE_SECS, PATIENCE_PER_SEC, PATIENCE_FACTOR = 6.0, 0.5, 3.0
# Or several times what was measured while the machine was idle, for it may be busy; but no turn is waited for so long.
MEASURED_FACTOR, MAX_MEASURED_SECS = 8.0, 30.0

_Result = TypeVar("_Result")


class RecognizerCalls:
    """See `Recognizer` for what each call does and raises.

    Args:
        engine: Gives this conversation's recognizer.
        threads: The engine's own.
        standby: Takes over where it does not come back, and is told what it has heard of the utterance.
        expected_secs: From seconds of speech to what the engine takes for them on this machine, as measured.
    """

    def __init__(
        self,
        engine: RecognizerEngine,
        threads: Executor,
        standby: Standby[RecognizerEngine] | None = None,
        expected_secs: Callable[[float], float] | None = None,
    ) -> None:
        self._engine = engine
        self._recognizer = engine.recognizer()
        self._threads = threads
        self._standby = standby
        self._expected_secs = expected_secs
        self._trouble: str | None = None
        # The utterance, for an engine that takes over.
        self._heard = bytearray()
        self._longest_secs = 0.0
        self._last_call: Future[Any] | None = None
        self._next: RecognizerCalls | None = None

    @property
    def pauses_freely(self) -> bool:
        """Whether the engine that hears what is said next does; see `RecognizerEngine`."""
        next_one = self if self._next is None or self._heard else self._next
        return next_one._engine.pauses_freely

    def change_to(self, calls: "RecognizerCalls") -> None:
        """Another engine hears the next utterance; this one is heard to its end.

        Args:
            calls: Of that engine; not called yet.
        """
        self._next = calls

    async def accept(self, pcm16: bytes) -> str:
        """Take more audio; the text so far."""
        if self._next and not self._heard:
            self._take_over()
        text = await self._on_thread(lambda recognizer: recognizer.accept(pcm16), len(pcm16))
        self._heard += pcm16
        return text

    async def pause(self) -> Transcript:
        """The transcript so far."""
        return await self._on_thread(lambda recognizer: recognizer.pause())

    async def finish(self) -> Transcript:
        """The transcript; the next utterance begins."""
        transcript = await self._on_thread(lambda recognizer: recognizer.finish())
        self._heard.clear()
        return transcript

    async def reset(self) -> None:
        """Forget the utterance; never raises."""
        self._heard.clear()
        # Whatever hangs now, or has been ended meanwhile, the next call tells.
        with suppress(RuntimeError, EngineHungError):
            await self._on_thread(self._reset)

    def take_trouble(self) -> MendedError | None:
        """What has failed and been mended since it was last asked."""
        trouble, self._trouble = self._trouble, None
        if trouble is None and isinstance(self._recognizer, MendsItself):
            trouble = self._recognizer.take_trouble()
        return MendedError(f"speech-to-text: {trouble}") if trouble else None

    def end(self) -> None:
        """Forget the utterance once nothing is running any more; no call may follow."""
        if self._last_call is None or self._last_call.done():
            self._submit_reset()
        else:
            self._last_call.add_done_callback(lambda _: self._submit_reset())

    async def _on_thread(self, call: Callable[[Recognizer], _Result], n_more_bytes: int = 0) -> _Result:
        try:
            return await self._run(call, n_more_bytes)
        except EngineHungError as hung:
            taken_over = await self._standby.next() if self._standby else None
            if taken_over:
                self._engine, self._threads = taken_over
                self._standby = self._expected_secs = None
            # The abandoned thread still works on the old one.
            self._recognizer = self._engine.recognizer()
            if taken_over is None:
                raise
            if self._heard:
                heard = bytes(self._heard)
                await self._run(lambda recognizer: recognizer.accept(heard), 0)
            result = await self._run(call, n_more_bytes)
            self._trouble = f"{hung}; {self._engine.name} goes on"
            return result

    async def _run(self, call: Callable[[Recognizer], _Result], n_more_bytes: int) -> _Result:
        recognizer = self._recognizer
        if not isinstance(self._threads, EngineThreads):
            running = self._threads.submit(call, recognizer)
            self._last_call = running
            return await asyncio.wrap_future(running)
        heard_secs = (len(self._heard) + n_more_bytes) / BYTES_PER_SAMPLE / SAMPLE_RATE_HZ
        job = self._threads.put(Job(lambda: call(recognizer), self._patience_secs(heard_secs)))
        self._last_call = job.future
        result = await self._threads.back(job)
        self._longest_secs = max(self._longest_secs, job.took_secs)
        return result

    def _patience_secs(self, heard_secs: float) -> float:
        measured_secs = MEASURED_FACTOR * self._expected_secs(heard_secs) if self._expected_secs else 0.0
        return max(
            PATIENCE_SECS + PATIENCE_PER_SEC * heard_secs,
            PATIENCE_FACTOR * self._longest_secs,
            min(measured_secs, MAX_MEASURED_SECS),
        )

    def _take_over(self) -> None:
        new, self._next = self._next, None
        assert new  # noqa: S101 - the caller has looked
        self.end()
        self._engine, self._recognizer, self._threads = new._engine, new._recognizer, new._threads
        self._standby, self._expected_secs = new._standby, new._expected_secs
        self._longest_secs, self._last_call = 0.0, None

    @staticmethod
    def _reset(recognizer: Recognizer) -> None:
        try:
            recognizer.reset()
        # What was heard is forgotten either way, and the next call tells what is wrong.
        except Exception as error:  # noqa: BLE001
            logger.warning(f"speech-to-text: reset: {error}")

    def _submit_reset(self) -> None:
        # The engine may have been closed meanwhile, and its threads ended.
        with suppress(RuntimeError, EngineHungError):
            self._threads.submit(self._end, self._recognizer)

    @classmethod
    def _end(cls, recognizer: Recognizer) -> None:
        if isinstance(recognizer, EndsWithConversation):
            recognizer.end()
        else:
            cls._reset(recognizer)
