"""Fakes at the edge: speech engines whose words and sounds a test writes; what lies between them is real."""

import copy
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from processors.errors import EngineError, EngineUnavailableError
from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, Segment, Transcript, TranscriptionRequest
from processors.tts.synthesizer import SpeechChunk, SpokenWord, Voice

RATE_HZ = 24_000
WORD_SECS = 0.25
TONE_HZ = 300.0
# So much more sound than at the last pause is more than its end.
CONTINUED_SECS = 0.8


class ScriptedRecognizerEngine:
    """Gives the texts of its script in order, one an utterance, whatever is said.

    Args:
        texts: What each utterance is heard as; an EngineError in its place is raised.
        finish_secs: How long the final takes.
        word_secs: A partial has one more word after every so much sound; None: no partials.
        early: Whether it may be asked at the shortest silence.
        continued: What a text becomes when more was said after the pause at which it was given.
        unsure: Texts that it believes little.
        language: What it says that it heard.
        spoken_in: What it says that it heard in some texts instead; None: it does not tell.
    """

    name = "scripted"
    model = "scripted"
    max_threads = 2

    def __init__(
        self,
        *texts: str | EngineError,
        finish_secs: float = 0.0,
        word_secs: float | None = None,
        early: bool = False,
        continued: Mapping[str, str] | None = None,
        unsure: Sequence[str] = (),
        language: str | None = "en",
        spoken_in: Mapping[str, str | None] | None = None,
    ) -> None:
        self.texts = list(texts)
        self.unsure = unsure
        self.language = language
        self.spoken_in = dict(spoken_in or {})
        self.word_secs = word_secs
        self.shows_partials = word_secs is not None
        self.pauses_freely = early
        self.continued = dict(continued or {})
        self.finish_secs = finish_secs
        self.heard_bytes: list[int] = []
        self.said: list[str] = []
        self.threads: set[str] = set()

    def recognizer(self) -> "ScriptedRecognizer":
        return ScriptedRecognizer(self)

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
        """A second of the recording for each text that is left."""
        for index in range(len(self.texts)):
            time.sleep(self.finish_secs)
            text = self.texts.pop(0)
            if isinstance(text, EngineError):
                raise text
            yield Segment(text, float(index), float(index + 1), language="en", confidence=0.9)

    def warm_up(self) -> None:
        pass

    def close(self) -> None:
        pass


class ScriptedRecognizer:
    """One conversation's utterances; each pause after more sound takes the next text.

    One that may be asked at any silence has the same text for all of an utterance.
    """

    def __init__(self, engine: ScriptedRecognizerEngine) -> None:
        self._engine = engine
        self._n_bytes = 0
        self._paused: Transcript | None = None
        self._text: str | None = None
        self._text_bytes = 0

    def accept(self, pcm16: bytes) -> str:
        self._engine.threads.add(threading.current_thread().name)
        self._n_bytes += len(pcm16)
        self._paused = None
        following = self._engine.texts[0] if self._engine.texts else ""
        if self._engine.word_secs is None or isinstance(following, EngineError):
            return ""
        n_words = int(self._n_bytes / 2 / SAMPLE_RATE_HZ / self._engine.word_secs)
        return " ".join(following.split()[:n_words])

    def pause(self) -> Transcript:
        if self._paused is None:
            self._paused = self._next()
        return self._paused

    def finish(self) -> Transcript:
        transcript = self.pause()
        self.reset()
        return transcript

    def _next(self) -> Transcript:
        if not self._n_bytes:
            return Transcript("")
        self._engine.heard_bytes.append(self._n_bytes)
        time.sleep(self._engine.finish_secs)
        if self._text is not None and self._engine.pauses_freely:
            if self._n_bytes - self._text_bytes > CONTINUED_SECS * 2 * SAMPLE_RATE_HZ:
                self._text = self._engine.continued.get(self._text, self._text)
            return Transcript(self._text, language=self._language(self._text), confidence=0.9)
        text = self._engine.texts.pop(0) if self._engine.texts else ""
        if isinstance(text, EngineError):
            raise text
        self._text, self._text_bytes = text, self._n_bytes
        self._engine.said.append(text)
        return Transcript(text, language=self._language(text), confidence=0.2 if text in self._engine.unsure else 0.9)

    def _language(self, text: str) -> str | None:
        return self._engine.spoken_in.get(text, self._engine.language)

    def reset(self) -> None:
        self._n_bytes = 0
        self._paused = None
        self._text = None


class ScriptedSynthesizer:
    """Speaks every word as a quarter of a second of tone.

    Args:
        failing: Texts that raise an EngineError.
        first_secs: How long the first sound of each text takes.
    """

    name = "scripted"
    model = "tone"
    sample_rate_hz = RATE_HZ
    max_threads = 1

    def __init__(self, failing: Sequence[str] = (), *, first_secs: float = 0.0) -> None:
        self.failing = failing
        self.first_secs = first_secs
        self.spoken: list[str] = []
        # Each text with the language that the voice was asked for; `own` where it was asked for none.
        self.said_in: list[tuple[str, str]] = []
        self._language = "own"
        self.threads: set[str] = set()
        self.voices_taken: list[tuple[str | None, str, float]] = []

    def voices(self) -> list[Voice]:
        return [Voice("tone", "en-us", "A tone"), Voice("ton", "de", "Ein Ton")]

    def in_voice(self, voice: str | None, *, language: str, speed: float) -> "ScriptedSynthesizer":
        if voice not in (None, "tone", "ton"):
            raise EngineUnavailableError(f"scripted does not know the voice {voice!r}", "choose tone")
        self.voices_taken.append((voice, language, speed))
        other = copy.copy(self)
        other._language = language
        return other

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        self.threads.add(threading.current_thread().name)
        self.spoken.append(text)
        self.said_in.append((text, self._language))
        if any(failing in text for failing in self.failing):
            raise EngineError(f"scripted failure on {text!r}")
        time.sleep(self.first_secs)
        for index, word in enumerate(text.split()):
            start_secs = index * WORD_SECS
            yield SpeechChunk(tone(WORD_SECS), (SpokenWord(word, start_secs, start_secs + WORD_SECS),))

    def warm_up(self) -> None:
        pass

    def close(self) -> None:
        pass


def tone(duration_secs: float) -> bytes:
    """A tone at half of full scale, 24 kHz mono s16."""
    at = np.arange(round(duration_secs * RATE_HZ))
    return (16_000 * np.sin(2 * np.pi * TONE_HZ * at / RATE_HZ)).astype("<i2").tobytes()
