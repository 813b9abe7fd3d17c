"""What every speech-to-text engine offers.

In:  16 kHz mono s16 PCM.   Out: partial text while the user speaks, then one Transcript.

An engine is loaded once per process and shared; each conversation asks it for a recognizer of its own.
All calls block and are made from the engine's own threads, never from the event loop; the calls on one
recognizer never overlap.
"""

from dataclasses import dataclass
from typing import Protocol

SAMPLE_RATE_HZ = 16_000
BYTES_PER_SAMPLE = 2


@dataclass(frozen=True)
class Word:
    """A recognized word; times are seconds from the first sample of the utterance."""

    text: str
    start_secs: float
    end_secs: float
    probability: float | None = None


@dataclass(frozen=True)
class Transcript:
    """The final result of one utterance.

    Attributes:
        text: The words, with no leading or trailing space; empty when nothing was said.
        words: Word timings where the engine has them, else empty.
        language: ISO 639-1 code where the engine knows it.
        confidence: 0 to 1 where the engine knows it.
    """

    text: str
    words: tuple[Word, ...] = ()
    language: str | None = None
    confidence: float | None = None


class Recognizer(Protocol):
    """One utterance at a time of one speaker."""

    def accept(self, pcm16: bytes) -> str:
        """Take more audio of the utterance.

        Args:
            pcm16: Little-endian s16 mono at 16 kHz, any whole number of samples.

        Returns:
            The text so far, which may still change; empty while nothing is known.

        Raises:
            EngineError: The engine failed; the utterance is lost, the next one may work.
        """
        ...

    def finish(self) -> Transcript:
        """End the utterance and make ready for the next one.

        Raises:
            EngineError: The engine failed; the utterance is lost, the next one may work.
        """
        ...

    def reset(self) -> None:
        """Throw the utterance away and make ready for the next one."""
        ...


class RecognizerEngine(Protocol):
    """A loaded speech-to-text model, shared by all conversations of the process."""

    @property
    def name(self) -> str:
        """The engine's name in settings, logs and on the page, such as `whisper`."""
        ...

    @property
    def model(self) -> str:
        """The model in use, such as `base.en`."""
        ...

    @property
    def max_threads(self) -> int:
        """How many recognizers may work at the same time; the model host sizes the pool by it."""
        ...

    def recognizer(self) -> Recognizer:
        """A recognizer for one conversation; cheap."""
        ...

    def warm_up(self) -> None:
        """Run once on a short silence, so that the first caller waits for nothing."""
        ...

    def close(self) -> None:
        """Release memory, threads and processes; no call may follow."""
        ...
