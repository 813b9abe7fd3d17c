"""Wake words: which engine hears them, and the threads that it works on.

In:  settings with [wake].   Out: a detector for each conversation and each satellite; none is loaded without need.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.engines.candidates import Candidate
from agent.settings.load import Settings
from processors.engine_threads import EngineThreads
from processors.errors import EngineError, EngineUnavailableError
from processors.wake.detector import WakeEngine, check_words
from processors.wake.listener import WakeListener
from processors.wake.pymicro import NAME, PACKAGE, PymicroEngine

STAGE = "wake"
# A second of sound and one word are 4 ms of work: one thread serves dozens of streams.
WAKE_THREADS = 1


@dataclass(frozen=True)
class WakeHost:
    """An engine and its threads; `load_wake` or `installed_wake` makes it, `close` ends it.

    Attributes:
        engine: Shared by all.
        threads: Its own.
    """

    engine: WakeEngine
    threads: EngineThreads

    def listener(self, names: Sequence[str], threshold: float | None = None) -> WakeListener:
        """What hears some words in one stream.

        Args:
            names: Of the engine's words.
            threshold: The probability from which they count; None: each word's own.
        """
        return WakeListener(lambda: self.engine.detector(names, threshold), self.threads)

    def phrases(self, names: Sequence[str]) -> tuple[str, ...]:
        """What is said for these words."""
        return tuple(self.engine.words[name].phrase for name in names)

    def as_json(self, names: Sequence[str]) -> dict[str, Any]:
        """What `session_started` tells of it."""
        return {"engine": self.engine.name, "model": ", ".join(names), "passed_over": []}

    def close(self) -> None:
        """End its threads; no stream may be listened to."""
        self.threads.shutdown(wait=False, cancel_futures=True)


def installed_wake() -> WakeHost:
    """The engine that is installed, with threads of its own.

    Raises:
        EngineUnavailableError: None is; the message names the command that installs it.
    """
    return WakeHost(PymicroEngine(), EngineThreads(WAKE_THREADS, STAGE))


def _loaded() -> WakeEngine:
    return PymicroEngine()


def load_wake(settings: Settings) -> WakeHost | None:
    """What conversations wake by; None where no words are set. Blocks for some 10 ms.

    Raises:
        EngineUnavailableError: It is not installed, cannot be loaded, or knows a word not.
    """
    words = settings.wake.words
    if not words:
        return None
    host = installed_wake()
    check_words(host.engine, words)
    try:
        host.engine.detector(words).close()
    except EngineError as error:
        raise EngineUnavailableError(f"{STAGE}: {error}", "--set wake.words= (without wake words)") from error
    return host


def wake_candidates(settings: Settings) -> list[Candidate[WakeEngine]]:
    """What could hear the words, for those who list it."""
    words = settings.wake.words
    try:
        engine: WakeEngine = PymicroEngine()
        check_words(engine, words)
    except EngineUnavailableError as error:
        return [Candidate(NAME, PACKAGE, _loaded, reason=error.reason, mend=error.mend)]
    return [Candidate(engine.name, f"{PACKAGE} {engine.version}", lambda: engine)]
