"""Moonshine speech-to-text through sherpa-onnx: a small model whose work grows with the sound, English.

In:  16 kHz mono s16 PCM.   Out: Transcripts of utterances, Segments of recordings.
Source: Jeffries et al. 2024 (arXiv 2410.15608). Licence of the English weights: MIT.

It is shown bounded stretches, since it was trained on utterances. A stretch begins and ends close to the speech: with
real weights (base, 8 bits), silence around it made the model write nothing for some beginnings of one recording, and
a number that nobody said before another; with 50 ms of it neither happened. An empty answer about sound that is not
quiet is asked for again without any.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from loguru import logger

from processors.errors import EngineError, EngineUnavailableError, UnsupportedRequestError, one_line
from processors.stt.finals_first import FinalsFirst
from processors.stt.hallucination import Guards
from processors.stt.moonshine_export import MoonshineExport, broken, read_export
from processors.stt.pauses import transcribe_by_pauses
from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, Segment, Transcript, TranscriptionRequest
from processors.stt.samples import as_f32, is_quiet, speech_level_dbfs
from processors.stt.utterance import UtteranceRecognizer, WindowLimits

WINDOW = WindowLimits(max_secs=14.0, long_secs=7.0, cut_range_secs=5.0)
# Sound that a partial is worth; decoding cannot be stopped, so a longer one would make the final late.
MAX_PARTIAL_SECS = 8.0
# Less has no syllable in it; below some hundreds of samples the network fails.
MIN_SECS = 0.1
# Kept in front of and behind the speech, first and where nothing came of that.
EDGES_SECS = ((0.05, 0.05), (0.0, 0.0))
_BLOCK_SAMPLES = SAMPLE_RATE_HZ * 30 // 1000
# Blocks so much below the level of the speech are silence.
_SILENCE_DB = 30.0


class MoonshineEngine:
    """A loaded Moonshine model.

    Args:
        model_path: A directory with tokens.txt and either preprocess, encode, uncached_decode and cached_decode or
            encoder_model and decoder_model_merged, as .int8.onnx, .ort or .onnx.
        language: ISO 639-1 code, or `auto`; English is known.
        partial_interval_secs: New sound that is worth a partial, at least.
        guards: Against text where nobody spoke.
        threads: CPU threads of one decoding.
        provider: Of sherpa-onnx: cpu, cuda or coreml.

    Raises:
        EngineUnavailableError: The directory does not hold a model that loads, or the language is another.
    """

    name = "moonshine"
    max_threads = 1
    pauses_freely = True
    shows_partials = False

    def __init__(
        self,
        model_path: Path,
        *,
        language: str = "en",
        partial_interval_secs: float = 0.5,
        guards: Guards | None = None,
        threads: int = 1,
        provider: str = "cpu",
    ) -> None:
        self.model = model_path.name
        if language not in ("en", "auto"):
            raise EngineUnavailableError(
                f"moonshine knows English only, not stt.language = {language!r}", "sotto models pull base"
            )
        self.partial_interval_secs = partial_interval_secs
        self.window = WINDOW
        self._guards = guards or Guards()
        export = read_export(model_path)
        try:
            self._recognizer = _loaded(export, threads, provider)
            self._decoded(np.zeros(SAMPLE_RATE_HZ, np.float32))
        except (RuntimeError, ValueError, EngineError) as error:
            raise broken(model_path, one_line(error)) from error
        self.finals_first = FinalsFirst(threads)
        self.partial_threads: Executor = ThreadPoolExecutor(1, "stt-partials")

    def recognizer(self) -> UtteranceRecognizer:
        """A recognizer for one conversation."""
        return UtteranceRecognizer(self)

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
        """See `RecognizerEngine.transcribe`; words have no times, and prompt and temperature mean nothing."""
        if request.task == "translate":
            raise UnsupportedRequestError("moonshine does not translate: use a multilingual whisper", "task")
        if request.language not in (None, "en", "auto"):
            raise UnsupportedRequestError(f"moonshine knows English only, not {request.language!r}", "language")
        return transcribe_by_pauses(UtteranceRecognizer(_Patient(self)), audio_s16, word_times=request.word_times)

    def decode(self, audio_s16: Pcm16) -> Transcript:
        """See `UtteranceModel.decode`."""
        with self.finals_first.final():
            return self.heard(audio_s16)

    def guess(self, audio_s16: Pcm16, wanted: Callable[[], bool], *, language: str | None = None) -> Transcript | None:
        """See `UtteranceModel.guess`; what is longer than 8 s is not guessed at."""
        too_long = len(audio_s16) > MAX_PARTIAL_SECS * SAMPLE_RATE_HZ
        if too_long or not wanted() or self.finals_first.busy:
            return None
        return self.heard(audio_s16)

    def written_language(self, spoken: str | None) -> str | None:
        """See `UtteranceModel.written_language`."""
        return "en"

    def heard(self, audio_s16: Pcm16) -> Transcript:
        """Decode one stretch, without regard to who else waits.

        Args:
            audio_s16: shape (n_samples,), int16, 16 kHz.

        Raises:
            EngineError: The library failed.
        """
        level_dbfs = speech_level_dbfs(audio_s16)
        if is_quiet(audio_s16.tobytes()) and level_dbfs < self._guards.phantom_level_dbfs:
            return Transcript("", language="en")
        for lead_secs, tail_secs in EDGES_SECS:
            stretch = _speech_in(audio_s16, lead_secs, tail_secs)
            if len(stretch) < MIN_SECS * SAMPLE_RATE_HZ:
                continue
            text, confidence = self._decoded(as_f32(stretch))
            if text:
                objection = self._guards.objection(
                    text,
                    no_speech_probability=0.0,
                    average_log_probability=math.log(confidence) if confidence else 0.0,
                    compression_ratio=1.0,
                    level_dbfs=level_dbfs,
                )
                if objection:
                    logger.debug(f"moonshine: dropped as {objection}: {text!r}")
                    return Transcript("", language="en")
                return Transcript(text, language="en", confidence=confidence)
        return Transcript("", language="en")

    def _decoded(self, audio_f32: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[str, float | None]:
        """The text and the mean probability of its tokens, where the library tells it."""
        try:
            stream = self._recognizer.create_stream()
            stream.accept_waveform(SAMPLE_RATE_HZ, audio_f32)
            self._recognizer.decode_stream(stream)
            result = stream.result
        except RuntimeError as error:
            raise EngineError(f"moonshine failed: {one_line(error)}") from error
        logs = list(getattr(result, "ys_log_probs", ()))
        return result.text.strip(), math.exp(sum(logs) / len(logs)) if logs else None

    def warm_up(self) -> str | None:
        """Decode a second of silence, as loading has done: nothing more is to be done."""
        return None

    def close(self) -> None:
        """Free the model's memory."""
        self.partial_threads.shutdown(wait=True, cancel_futures=True)
        del self._recognizer


class _Patient:
    """The model for a recording: conversations go first, and nobody reads partials."""

    def __init__(self, engine: MoonshineEngine) -> None:
        self._engine = engine
        self.finals_first = engine.finals_first
        self.partial_threads = engine.partial_threads
        self.window = engine.window
        self.partial_interval_secs = math.inf

    def decode(self, audio_s16: Pcm16) -> Transcript:
        self.finals_first.wait()
        return self._engine.heard(audio_s16)

    def guess(self, audio_s16: Pcm16, wanted: Callable[[], bool], *, language: str | None = None) -> Transcript | None:
        return None

    def written_language(self, spoken: str | None) -> str | None:
        return self._engine.written_language(spoken)


def _loaded(export: MoonshineExport, threads: int, provider: str) -> Any:
    from sherpa_onnx import OfflineRecognizer

    load: Any = OfflineRecognizer.from_moonshine_v2 if export.is_merged else OfflineRecognizer.from_moonshine
    paths = {name: str(path) for name, path in export.parts.items()}
    return load(tokens=str(export.tokens), num_threads=threads, provider=provider, **paths)


def _speech_in(audio_s16: Pcm16, lead_secs: float, tail_secs: float) -> Pcm16:
    """The sound from the first block that is no silence to the last one, with so much around it."""
    n_blocks = len(audio_s16) // _BLOCK_SAMPLES
    blocks = audio_s16[: n_blocks * _BLOCK_SAMPLES].reshape(n_blocks, _BLOCK_SAMPLES).astype(np.float64)
    powers = np.square(blocks).mean(axis=1)
    loud = np.flatnonzero(powers > np.percentile(powers, 90) * 10 ** (-_SILENCE_DB / 10)) if n_blocks else powers
    if not len(loud):
        return audio_s16[:0]
    start = int(loud[0]) * _BLOCK_SAMPLES - int(lead_secs * SAMPLE_RATE_HZ)
    return audio_s16[max(0, start) : (int(loud[-1]) + 1) * _BLOCK_SAMPLES + int(tail_secs * SAMPLE_RATE_HZ)]
