"""What every text-to-speech engine offers.

In:  a sentence or clause of speakable text.   Out: chunks of mono s16 PCM at the engine's own rate, with word timings.

An engine is loaded once per process and shared by all conversations. All calls block and are made from
the engine's own threads, never from the event loop.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


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


@dataclass(frozen=True)
class Voice:
    """A voice that an engine can speak with.

    Attributes:
        name: What `tts.voice` takes.
        language: espeak's name of its language, such as `en-us`.
        label: What a person reads.
    """

    name: str
    language: str
    label: str


@runtime_checkable
class StoppableSpeech(Protocol):
    """What `Synthesizer.synthesize` of a slow engine gives: its work can be stopped in the middle of a chunk."""

    def stop(self) -> None:
        """Give up what is being made; the iterator ends. May be called from any thread, more than once."""
        ...


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

    def voices(self) -> list[Voice]:
        """Every voice that it can speak with, in the order of their names."""
        ...

    def in_voice(self, voice: str | None, *, language: str, speed: float) -> "Synthesizer":
        """The same loaded model with another voice, for one conversation; cheap.

        Args:
            voice: One of `voices`; None: the engine's own for the language.
            language: espeak's name of the language that is spoken, such as `en-us`.
            speed: 0.5 to 2; 1 is the natural pace.

        Raises:
            EngineUnavailableError: It has no such voice or language.
        """
        ...

    def warm_up(self) -> None:
        """Run once, so that the first caller waits for nothing."""
        ...

    def close(self) -> None:
        """Release memory and threads; no call may follow."""
        ...
