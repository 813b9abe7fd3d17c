"""What every text-to-speech engine offers.

In:  a sentence or clause of speakable text.   Out: chunks of mono s16 PCM at the engine's own rate, with word timings.

An engine is loaded once per process and shared by all conversations. All calls block and are made from
the engine's own threads, never from the event loop.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class SpokenWord:
    """A word of the text that was handed in; times are seconds from the first sample of the synthesis."""

    text: str
    start_secs: float
    end_secs: float


@dataclass(frozen=True)
class SpeechChunk:
    """A stretch of synthesised speech.

    Attributes:
        pcm16: Little-endian s16 mono at the engine's `sample_rate_hz`; length is a whole number of samples.
        words: The words that start in this chunk, in order.
    """

    pcm16: bytes
    words: tuple[SpokenWord, ...] = ()


class Synthesizer(Protocol):
    """A loaded text-to-speech model, shared by all conversations of the process."""

    @property
    def name(self) -> str:
        """The engine's name in settings, logs and on the page, such as `kokoro`."""
        ...

    @property
    def model(self) -> str:
        """The model or voice in use, such as `af_heart`."""
        ...

    @property
    def sample_rate_hz(self) -> int:
        """The rate of the chunks."""
        ...

    @property
    def max_threads(self) -> int:
        """How many syntheses may run at the same time; the model host sizes the pool by it."""
        ...

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        """Speak a text.

        Args:
            text: Speakable words and punctuation. Text without a speakable word yields nothing.

        Yields:
            Chunks in order; the first one as soon as it is ready. Closing the iterator stops the work.

        Raises:
            EngineError: The engine failed.
        """
        ...

    def warm_up(self) -> None:
        """Run once, so that the first caller waits for nothing."""
        ...

    def close(self) -> None:
        """Release memory and threads; no call may follow."""
        ...
