"""Whisper through faster-whisper (CTranslate2).

In:  16 kHz mono s16 PCM.   Out: a Transcript at the end of the utterance; no partials.
Options for low latency as the library's documentation and measurements suggest: greedy, one temperature, no
timestamps, no text of earlier utterances. Licence: MIT, models included.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from processors.errors import EngineError, EngineUnavailableError
from processors.stt.pauses import transcribe_by_pauses
from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, Segment, Transcript, TranscriptionRequest

# Above this the model itself doubts that there was speech; Whisper writes "Thank you." into silence.
NO_SPEECH_PROBABILITY = 0.6
# Below this average log-probability a text that may be no speech is dropped.
MIN_AVERAGE_LOG_PROBABILITY = -1.0


class WhisperEngine:
    """A loaded Whisper model.

    Args:
        model_path: A directory with a CTranslate2 model (config.json, model.bin, tokenizer.json, vocabulary).
        language: ISO 639-1 code, or `auto`.
        threads: CPU threads of one decoding.

    Raises:
        EngineUnavailableError: The directory does not hold a model that loads.
    """

    name = "whisper"
    max_threads = 1

    def __init__(self, model_path: Path, *, language: str = "en", threads: int = 1) -> None:
        from faster_whisper import WhisperModel

        self.model = model_path.name
        try:
            self._whisper = WhisperModel(
                str(model_path),
                device="auto",
                compute_type="default",
                cpu_threads=threads,
                num_workers=self.max_threads,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineUnavailableError(
                f"whisper model {model_path} cannot be loaded ({_one_line(error)})",
                f"sotto models pull {model_path.name}",
            ) from error
        self.language = self._checked_language(language)

    def _checked_language(self, language: str) -> str | None:
        if language == "auto":
            return None if self._whisper.model.is_multilingual else "en"
        supported = self._whisper.supported_languages
        if language not in supported:
            raise EngineUnavailableError(
                f"whisper model {self.model} does not know stt.language = {language!r}",
                "choose auto, or a multilingual model such as base",
            )
        return language

    def recognizer(self) -> "WhisperRecognizer":
        """A recognizer for one conversation."""
        return WhisperRecognizer(self)

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
        """See `RecognizerEngine.transcribe`."""
        return transcribe_by_pauses(self.recognizer(), audio_s16, word_times=request.word_times)

    def warm_up(self) -> str | None:
        """Decode half a second of silence."""
        self.decode(np.zeros(SAMPLE_RATE_HZ // 2, np.float32))
        return None

    def close(self) -> None:
        """Free the model's memory."""
        self._whisper.model.unload_model()

    def decode(self, audio_f32: np.ndarray[Any, np.dtype[np.float32]]) -> Transcript:
        """Decode one utterance.

        Args:
            audio_f32: shape (n_samples,), float32 in [-1, 1], 16 kHz.

        Raises:
            EngineError: The model failed on it.
        """
        try:
            segments, info = self._whisper.transcribe(
                audio_f32,
                language=self.language,
                beam_size=1,
                temperature=0.0,
                without_timestamps=True,
                condition_on_previous_text=False,
            )
            kept = [
                segment
                for segment in segments
                if not (
                    segment.no_speech_prob > NO_SPEECH_PROBABILITY and segment.avg_logprob < MIN_AVERAGE_LOG_PROBABILITY
                )
            ]
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"whisper failed: {_one_line(error)}") from error
        text = "".join(segment.text for segment in kept).strip()
        if not text:
            return Transcript("", language=info.language)
        confidence = math.exp(sum(segment.avg_logprob for segment in kept) / len(kept))
        return Transcript(text, language=info.language, confidence=confidence)


class WhisperRecognizer:
    """Gathers one utterance and decodes it at its end."""

    def __init__(self, engine: WhisperEngine) -> None:
        self._engine = engine
        self._audio = bytearray()

    def accept(self, pcm16: bytes) -> str:
        """See `Recognizer.accept`; there is no text before the end."""
        self._audio += pcm16
        return ""

    def pause(self) -> Transcript:
        """See `Recognizer.pause`."""
        if not self._audio:
            return Transcript("")
        return self._engine.decode(np.frombuffer(bytes(self._audio), "<i2").astype(np.float32) / 32768.0)

    def finish(self) -> Transcript:
        """See `Recognizer.finish`."""
        try:
            return self.pause()
        finally:
            self.reset()

    def reset(self) -> None:
        """See `Recognizer.reset`."""
        self._audio.clear()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
