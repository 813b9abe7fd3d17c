"""Nemotron streaming speech-to-text through sherpa-onnx.

In:  16 kHz mono s16 PCM.   Out: text that grows while the user speaks, then a Transcript with word times.

The model is a cache-aware streaming transducer: each step takes in one chunk (80 to 1120 ms, fixed in the export) and
only ever adds words. Licences of the weights: NVIDIA Open Model License (English), OpenMDW-1.1 (3.5, multilingual).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from processors.errors import EngineError, EngineUnavailableError, UnsupportedRequestError, one_line
from processors.stt.nemotron_export import read_export
from processors.stt.nemotron_hotwords import can_spell
from processors.stt.nemotron_speed import real_time_factor, speed_note
from processors.stt.nemotron_streams import AudioF32, Heard, NemotronStreams, Stretch, probability
from processors.stt.pauses import transcribe_by_pauses
from processors.stt.recognizer import Pcm16, Segment, Transcript, TranscriptionRequest
from processors.stt.samples import as_f32


class NemotronEngine:
    """A loaded Nemotron model.

    sherpa-onnx decodes several streams of one model from several threads at a time, as its own server does.

    Args:
        model_path: A directory with encoder*.onnx, decoder*.onnx, joiner*.onnx and tokens.txt.
        language: ISO 639-1 code, or `auto`.
        threads: CPU threads of one decoding.
        hotwords: Words and phrases to listen for; they cost a beam search.

    Raises:
        EngineUnavailableError: The directory does not hold a model that loads, or the model lacks the language.
    """

    name = "nemotron"
    max_threads = 2
    pauses_freely = False
    shows_partials = True

    def __init__(
        self,
        model_path: Path,
        *,
        language: str = "en",
        threads: int = 1,
        hotwords: Sequence[str] = (),
        provider: str = "cpu",
    ) -> None:
        self.model = model_path.name
        self.export = read_export(model_path)
        if not self._knows(language):
            raise EngineUnavailableError(
                f"nemotron model {self.model} does not know stt.language = {language!r}",
                "choose auto, or a multilingual model such as nemotron-3.5-560ms",
            )
        self.language = self._spoken(language)
        self.unspellable = tuple(phrase for phrase in hotwords if not can_spell(self.export.tokens, phrase))
        spellable = [phrase for phrase in hotwords if phrase not in self.unspellable]
        try:
            self._streams = NemotronStreams(self.export, threads, spellable, provider)
            Stretch(self._streams, self.language, 0).settle()  # parts that do not fit each other show here
        except (RuntimeError, EngineError) as error:
            raise EngineUnavailableError(
                f"nemotron model {model_path} cannot be loaded ({one_line(error)})", f"sotto models pull {self.model}"
            ) from error

    def recognizer(self) -> "NemotronRecognizer":
        """A recognizer for one conversation."""
        return NemotronRecognizer(self._streams, self.language)

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
        """See `RecognizerEngine.transcribe`; prompt and temperature mean nothing to a transducer."""
        if request.task == "translate":
            raise UnsupportedRequestError(f"{self.model} does not translate: use a multilingual whisper", "task")
        if request.language is not None and not self._knows(request.language):
            raise UnsupportedRequestError(
                f"{self.model} does not know the language {request.language!r}: use a model that does", "language"
            )
        language = self.language if request.language is None else self._spoken(request.language)
        return transcribe_by_pauses(
            NemotronRecognizer(self._streams, language), audio_s16, word_times=request.word_times
        )

    def warm_up(self) -> str | None:
        """Decode a few seconds and time it; what comes back says that it is too slow, or which hotwords are ignored."""
        notes = [
            speed_note(real_time_factor(self._streams, self.language), self.export.chunk_ms),
            *(f"stt.hotwords: {self.model} cannot spell {phrase!r}" for phrase in self.unspellable),
        ]
        return "; ".join(note for note in notes if note) or None

    def close(self) -> None:
        """Free the model's memory."""
        del self._streams

    @property
    def languages(self) -> list[str]:
        """See `KnowsLanguages`."""
        return ["en"] if self.export.languages is None else sorted({one.split("-")[0] for one in self.export.languages})

    def _knows(self, language: str) -> bool:
        known = {"en"} if self.export.languages is None else self.export.languages
        return language == "auto" or language.lower() in known

    def _spoken(self, language: str) -> str | None:
        """The language that is spoken, None where the model finds out by itself."""
        if self.export.languages is None:
            return "en"
        return None if language == "auto" else language


class NemotronRecognizer:
    """Follows one speaker; each stretch between two pauses is a stream of its own.

    Args:
        streams: The loaded model.
        language: What is spoken; None lets a multilingual model find out.
    """

    def __init__(self, streams: NemotronStreams, language: str | None) -> None:
        self._streams = streams
        self._language = language
        self._heard = Heard()
        self._stretch: Stretch | None = None
        self._n_samples = 0

    def accept(self, pcm16: bytes) -> str:
        """See `Recognizer.accept`; what it returns only grows, unless hotwords are set."""
        if pcm16:
            self._feed(as_f32(np.frombuffer(pcm16, "<i2")))
        return self._heard.then(self._stretch.heard).text if self._stretch else self._heard.text

    def pause(self) -> Transcript:
        """See `Recognizer.pause`; speech that follows is heard afresh, and its words are added to these."""
        if self._stretch is not None:
            try:
                self._stretch.settle()
            except EngineError:
                self.reset()
                raise
            self._heard = self._heard.then(self._stretch.heard)
            self._stretch = None
        heard = self._heard
        return Transcript(heard.text, heard.words, self._language, probability(heard.log_probabilities))

    def finish(self) -> Transcript:
        """See `Recognizer.finish`."""
        transcript = self.pause()
        self.reset()
        return transcript

    def reset(self) -> None:
        """See `Recognizer.reset`."""
        self._heard = Heard()
        self._stretch = None
        self._n_samples = 0

    def _feed(self, audio_f32: AudioF32) -> None:
        try:
            if self._stretch is None:
                self._stretch = Stretch(self._streams, self._language, self._n_samples)
            self._n_samples += len(audio_f32)
            self._stretch.feed(audio_f32)
        except EngineError:
            self.reset()
            raise
