"""What every engine that hears wake words offers.

In:  16 kHz mono s16, as it comes.   Out: the words that were heard, and where.

An engine is one for the process; a detector is one stream's. All calls block and are made from the engine's own
threads, never from the event loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from processors.errors import EngineUnavailableError

SAMPLE_RATE_HZ = 16_000
BYTES_PER_SAMPLE = 2
# What detectors work on.
BLOCK_SAMPLES = SAMPLE_RATE_HZ // 100
# A word is told once, however long it goes on being heard.
COOLDOWN_SECS = 1.5


@dataclass(frozen=True)
class WakeWord:
    """A word that an engine knows.

    Attributes:
        name: What settings call it, such as `hey_jarvis`.
        phrase: What is said, such as `Hey Jarvis`.
        languages: ISO 639-1 codes of those that it was made for.
        maker: Who made its model.
        threshold: The probability from which it counts, unless settings say otherwise.
    """

    name: str
    phrase: str
    languages: tuple[str, ...]
    maker: str
    threshold: float


@dataclass(frozen=True)
class HeardWake:
    """A word that was heard.

    Attributes:
        word: Which.
        probability: 0 to 1.
        ago_samples: How long before the end of the sound that was handed in it was certain.
        lag_samples: The word ended no earlier than so many samples before that.
    """

    word: WakeWord
    probability: float
    ago_samples: int = 0
    lag_samples: int = 0


class WakeDetector(Protocol):
    """Of one stream."""

    def hear(self, pcm16: bytes) -> list[HeardWake]:
        """Take more of the sound.

        Args:
            pcm16: Little-endian s16 mono at 16 kHz, any length.

        Returns:
            What was heard in it; within COOLDOWN_SECS of a word no other.

        Raises:
            EngineError: The engine failed.
        """
        ...

    def reset(self) -> None:
        """Forget all that was heard."""
        ...

    def close(self) -> None:
        """Free what it holds; it is not called again."""
        ...


class WakeEngine(Protocol):
    """An engine that is installed."""

    @property
    def name(self) -> str:
        """What `wake.engine` calls it, such as `pymicro`."""
        ...

    @property
    def version(self) -> str:
        """Of the package."""
        ...

    @property
    def words(self) -> Mapping[str, WakeWord]:
        """All that it knows, by name."""
        ...

    def detector(self, names: Sequence[str], threshold: float | None = None) -> WakeDetector:
        """Load what hears some words.

        Args:
            names: Of `words`.
            threshold: The probability from which they count; None: each word's own.

        Raises:
            EngineError: A model cannot be loaded.
        """
        ...


def check_words(engine: WakeEngine, names: Sequence[str]) -> None:
    """Every name is one of the engine's words.

    Raises:
        EngineUnavailableError: One is not; the message names those that are.
    """
    for name in names:
        if name not in engine.words:
            known = ",".join(sorted(engine.words))
            raise EngineUnavailableError(
                f"wake.words = {name[:40]}: {engine.name} knows no such word", f"--set wake.words={known} (one or more)"
            )
