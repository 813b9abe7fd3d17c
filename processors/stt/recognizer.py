"""What every speech-to-text engine offers.

In:  16 kHz mono s16 PCM.   Out: partial text, then one Transcript; for a whole recording, Segments.

An engine is loaded once per process and shared; each conversation asks it for a recognizer of its own.
All calls block and are made from the engine's own threads, never from the event loop; the calls on one
recognizer never overlap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

SAMPLE_RATE_HZ = 16_000
BYTES_PER_SAMPLE = 2

Pcm16 = np.ndarray[Any, np.dtype[np.int16]]
Task = Literal["transcribe", "translate"]


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
        language: ISO 639-1 code of the words, where the engine knows it.
        confidence: 0 to 1 where the engine knows it.
        spoken: ISO 639-1 code of what was said, where the engine knows it and has translated it.
    """

    text: str
    words: tuple[Word, ...] = ()
    language: str | None = None
    confidence: float | None = None
    spoken: str | None = None


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording, such as a sentence or what lies between two pauses.

    Attributes:
        text: The words, with no leading or trailing space; never empty.
        start_secs: From the first sample of the recording.
        end_secs: From the first sample of the recording.
        words: Word timings from the first sample of the recording, where they were asked for and the engine has them.
        language: ISO 639-1 code where the engine knows it.
        confidence: 0 to 1 where the engine knows it.
        average_log_probability: Of the tokens, where the engine knows it.
        no_speech_probability: Where the engine knows it.
        compression_ratio: Of the text; above 2.4 it repeats itself. Where the engine knows it.
        side: Who speaks, where the sides of a recording were transcribed on their own: `left` or `right`.
    """

    text: str
    start_secs: float
    end_secs: float
    words: tuple[Word, ...] = ()
    language: str | None = None
    confidence: float | None = None
    average_log_probability: float | None = None
    no_speech_probability: float | None = None
    compression_ratio: float | None = None
    side: str | None = None


@dataclass(frozen=True)
class TranscriptionRequest:
    """How a whole recording is to be transcribed.

    Attributes:
        language: ISO 639-1 code, or `auto`; None stands for the engine's own setting.
        task: `translate` writes English whatever is spoken.
        prompt: Text that might stand before it: names, spelling, style.
        temperature: 0 is the most likely text, up to 1.
        word_times: Whether segments carry words.
        prompt_results: Whether each segment is wanted as soon as possible, at the cost of the whole taking longer.
    """

    language: str | None = None
    task: Task = "transcribe"
    prompt: str | None = None
    temperature: float = 0.0
    word_times: bool = False
    prompt_results: bool = False


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

    def pause(self) -> Transcript:
        """Work out the transcript of everything so far, as well as `finish` would; the speaker has paused.

        The utterance goes on: more audio may follow, and the next transcript covers all of it.

        Raises:
            EngineError: The engine failed; the utterance is lost, the next one may work.
        """
        ...

    def finish(self) -> Transcript:
        """End the utterance and make ready for the next one; quick when `pause` was the last call.

        Raises:
            EngineError: The engine failed; the utterance is lost, the next one may work.
        """
        ...

    def reset(self) -> None:
        """Throw the utterance away and make ready for the next one."""
        ...


@runtime_checkable
class MendsItself(Protocol):
    """A recognizer that goes on after a failure as if there had been none."""

    def take_trouble(self) -> str | None:
        """What has failed and been mended since it was last asked; None if nothing has."""
        ...


@runtime_checkable
class EndsWithConversation(Protocol):
    """A recognizer that holds something for its conversation."""

    def end(self) -> None:
        """Throw the utterance away and let everything go, in place of the last `reset`; no call follows."""
        ...


@runtime_checkable
class KnowsLanguages(Protocol):
    """An engine that knows more than English."""

    @property
    def languages(self) -> Sequence[str]:
        """ISO 639-1 codes of what it transcribes."""
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

    @property
    def pauses_freely(self) -> bool:
        """Whether `pause` harms nothing that is said after it, so that the shortest silence may be taken for one.

        False for engines that hear each stretch between two pauses by itself: a silence within a word would cut it.
        """
        ...

    @property
    def shows_partials(self) -> bool:
        """Whether `accept` tells words within about a second of their being said."""
        ...

    def recognizer(self) -> Recognizer:
        """A recognizer for one conversation; cheap."""
        ...

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
        """Transcribe a whole recording, segment by segment while decoding goes on.

        It runs beside conversations, in threads of its own, and several may run at a time. Leaving the iterator
        (`close`) ends the work.

        Args:
            audio_s16: shape (n_samples,), int16, 16 kHz mono.
            request: What is wanted.

        Raises:
            UnsupportedRequestError: The engine does not know the language, or does not translate.
            EngineError: The engine failed.
        """
        ...

    def warm_up(self) -> str | None:
        """Run once, so that the first caller waits for nothing.

        Returns:
            What the user should know about this engine on this machine, such as that it is too slow; else None.
        """
        ...

    def close(self) -> None:
        """Release memory, threads and processes; no call may follow."""
        ...
