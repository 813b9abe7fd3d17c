"""Engines that fail in one way the first time they are asked, and work from then on."""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any

from processors.engine_threads import EngineThreads
from processors.errors import EngineError
from processors.stt.recognizer import Transcript
from processors.tts.synthesizer import SpeechChunk
from tests.support.scripted_engines import ScriptedRecognizer, ScriptedRecognizerEngine, ScriptedSynthesizer, tone

SLOW_SECS = 4.0


class Fault:
    """One way to fail, once.

    Args:
        name: As in the table.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_due = True
        # What hangs comes back once the test is over: nothing can end a thread.
        self.released = threading.Event()

    def take(self) -> str | None:
        """The fault, the first time."""
        due, self.is_due = self.is_due, False
        return self.name if due else None

    def strike(self, name: str | None) -> None:
        """Fail as every engine can."""
        errors: dict[str, Callable[[], Exception]] = {
            "error": lambda: EngineError("it failed"),
            "disk full": lambda: OSError(errno.ENOSPC, "No space left on device"),
            "out of memory": MemoryError,
        }
        if name in errors:
            raise errors[name]()
        if name == "slow":
            time.sleep(SLOW_SECS)
        while name == "hang" and not self.released.is_set():
            time.sleep(1.0)


class FaultyRecognizerEngine(ScriptedRecognizerEngine):
    """A recognizer whose first final fails."""

    def __init__(self, fault: Fault, *texts: str) -> None:
        super().__init__(*texts)
        self.fault = fault

    def recognizer(self) -> "FaultyRecognizer":
        return FaultyRecognizer(self)


class FaultyRecognizer(ScriptedRecognizer):
    """One conversation's."""

    def __init__(self, engine: FaultyRecognizerEngine) -> None:
        super().__init__(engine)
        self._fault = engine.fault

    def pause(self) -> Transcript:
        name = self._fault.take()
        try:
            self._fault.strike(name)
        except Exception:
            # What is asked again has words of its own.
            self._next()
            raise
        transcript = super().pause()
        if name == "none":
            return Transcript("")
        if name == "garbage":
            return "no transcript"  # type: ignore[return-value]
        return Transcript("so " * 3000) if name == "endless" else transcript


class FaultySynthesizer(ScriptedSynthesizer):
    """A voice whose first text fails."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        name = self.fault.take()
        self.fault.strike(name)
        if name == "none":
            return
        while name == "endless":
            yield SpeechChunk(tone(1.0))
        if name == "garbage":
            yield SpeechChunk(b"\x01", "no words")  # type: ignore[arg-type]
        yield from super().synthesize(text)


class FaultySession:
    """An ONNX session whose first run fails.

    Args:
        session: The real one.
        fault: How.
        after_runs: How many runs come before it.
    """

    def __init__(self, session: Any, fault: Fault, after_runs: int) -> None:
        self._session, self._fault, self._n_left = session, fault, after_runs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        self._n_left -= 1
        name = self._fault.take() if self._n_left < 0 else None
        self._fault.strike(name)
        answers = self._session.run(*args, **kwargs)
        return [answer * float("nan") for answer in answers] if name == "garbage" else answers


class ReadyStandby:
    """Another engine, at hand."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.threads = EngineThreads(1, "standby")

    async def next(self) -> tuple[Any, EngineThreads]:
        return self.engine, self.threads

    def shutdown(self) -> None:
        self.threads.shutdown(wait=False)


def abandoned(threads: Executor) -> int:
    """How many threads have been given up."""
    return threads.n_abandoned if isinstance(threads, EngineThreads) else 0
