"""The truth about what is being said, and a recognizer that knows it.

In:  items, said through the virtual sound card.   Out: the words within any stretch of the timeline.

A recognizer of the bench hears by the clock of the sound card: the sound that it is handed has just passed the card, so
that it ends now and begins its own length before. Of what is said on the timeline it then knows the words whose
middle lies in sound that it was given: pre-roll, gaps and late voice activity cost and add words as they would with
a real one.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, Segment, Transcript, TranscriptionRequest
from tests.bench.dynamics.items import Item
from transports.recorded import SoundCard
from transports.recording import Recording

BYTES_PER_SEC = SAMPLE_RATE_HZ * 2


@dataclass(frozen=True)
class _SaidWord:
    text: str
    start_secs: float
    end_secs: float

    def within(self, spans_secs: Sequence[tuple[float, float]]) -> bool:
        middle_secs = (self.start_secs + self.end_secs) / 2
        return any(start_secs <= middle_secs < end_secs for start_secs, end_secs in spans_secs)


class Stage:
    """Says items on one conversation's sound card and keeps their words."""

    def __init__(self, card: SoundCard) -> None:
        self.card = card
        self._words: list[_SaidWord] = []

    @property
    def now_secs(self) -> float:
        """The timeline's end."""
        return self.card.now_secs

    def say(self, item: Item) -> float:
        """Say an item from the next tick on, after what is being said.

        Returns:
            The second on the timeline of its first sample.

        Raises:
            RuntimeError: Something is being said.
        """
        if self.card.is_saying:
            raise RuntimeError(f"the person is still talking; {item.name!r} has to wait")
        start_secs = self.card.now_secs
        self._words += [
            _SaidWord(word.text, start_secs + word.start_secs, start_secs + word.end_secs) for word in item.words
        ]
        self.card.say(Recording(Path(item.name), item.audio_s16, item.end_secs))
        return start_secs

    def words(self, spans_secs: Sequence[tuple[float, float]], *, ended_before_secs: float | None = None) -> str:
        """The words said in stretches of the timeline.

        Args:
            spans_secs: (start, end) of each stretch.
            ended_before_secs: Words that end later are left out.
        """
        return " ".join(
            word.text
            for word in list(self._words)
            if word.within(spans_secs) and (ended_before_secs is None or word.end_secs <= ended_before_secs)
        )


class StagedRecognizerEngine:
    """Hears without error what is said on `stage`, after a fixed delay.

    Args:
        delay_secs: How long a final takes, and how late a word is shown.
    """

    name = "staged"
    model = "staged"
    max_threads = 2
    pauses_freely = True
    shows_partials = True

    def __init__(self, delay_secs: float) -> None:
        self.delay_secs = delay_secs
        # The bench holds one conversation at a time.
        self.stage: Stage | None = None

    def recognizer(self) -> "StagedRecognizer":
        """A recognizer of the conversation on stage.

        Raises:
            RuntimeError: There is none.
        """
        if self.stage is None:
            raise RuntimeError("no stage was set")
        return StagedRecognizer(self.stage, self.delay_secs)

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
        """Recordings have no stage."""
        return iter(())

    def warm_up(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to free."""


class StagedRecognizer:
    """One conversation's utterances."""

    def __init__(self, stage: Stage, delay_secs: float) -> None:
        self._stage = stage
        self._delay_secs = delay_secs
        self._spans_secs: list[tuple[float, float]] = []
        self._paused: Transcript | None = None

    def accept(self, pcm16: bytes) -> str:
        """See `Recognizer.accept`."""
        now_secs = self._stage.now_secs
        self._spans_secs.append((now_secs - len(pcm16) / BYTES_PER_SEC, now_secs))
        self._paused = None
        return self._stage.words(self._spans_secs, ended_before_secs=now_secs - self._delay_secs)

    def pause(self) -> Transcript:
        """See `Recognizer.pause`; the first call after more sound takes the delay."""
        if self._paused is None:
            if self._spans_secs:
                time.sleep(self._delay_secs)
            self._paused = Transcript(self._stage.words(self._spans_secs), language="en", confidence=0.9)
        return self._paused

    def finish(self) -> Transcript:
        """See `Recognizer.finish`."""
        transcript = self.pause()
        self.reset()
        return transcript

    def reset(self) -> None:
        """See `Recognizer.reset`."""
        self._spans_secs = []
        self._paused = None
