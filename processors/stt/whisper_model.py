"""A Whisper model in memory, through faster-whisper (CTranslate2), and how it is asked.

In:  16 kHz mono s16 PCM.   Out: Transcripts of utterances.
Greedy, one temperature, no timestamps, no text of earlier utterances; 8 bits where this CPU gains by them; a window
no longer than accuracy needs, and the full one where its result is doubtful. Licence: MIT, models included.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from loguru import logger

from processors.errors import EngineError, EngineUnavailableError, one_line
from processors.stt.finals_first import FinalsFirst
from processors.stt.hallucination import Guards
from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, Task, Transcript
from processors.stt.samples import as_f32, speech_level_dbfs
from processors.stt.utterance import WindowLimits
from processors.stt.whisper_compute import fastest_on_cpu, give_back_memory
from processors.stt.whisper_decoder import MAX_SOUND_SECS, Decoding, WhisperDecoder, sound_secs
from processors.stt.whisper_window import FULL_SECS, is_doubtful, max_tokens, window_secs

# On the CPU one decoding each for finals, partials and recordings, so that none waits for another's.
CPU_WORKERS = 3
# A copy of the model for each worker would fill a graphics card, and there a decoding is short.
GPU_WORKERS = 1
# Less than Whisper's 30 s, so that the rest of a word still fits.
WINDOW = WindowLimits(max_secs=26.0, long_secs=12.0, cut_range_secs=6.0)


@dataclass(frozen=True)
class WhisperOptions:
    """How to decode.

    Attributes:
        language: ISO 639-1 code, or `auto`.
        task: `translate` writes English whatever is spoken.
        prompt: Text that sets names, spelling and style.
        hotwords: Words to listen for.
        partial_interval_secs: New sound that is worth a partial, at least.
        guards: Against text where nobody spoke.
        threads: CPU threads of one decoding.
        device: CTranslate2's: auto, cpu or cuda.
        compute_type: CTranslate2's, such as int8; None takes what is faster here, by a measurement.
    """

    language: str = "en"
    task: Task = "transcribe"
    prompt: str | None = None
    hotwords: tuple[str, ...] = ()
    partial_interval_secs: float = 0.5
    guards: Guards = field(default_factory=Guards)
    threads: int = 1
    device: str = "auto"
    compute_type: str | None = None


class LoadedWhisper:
    """A loaded Whisper model: decodes one utterance at a time.

    Args:
        model_path: A directory with a CTranslate2 model (config.json, model.bin, tokenizer.json, vocabulary).
        options: How to decode.
        name: The catalogue's name of the model; by default the directory's.

    Raises:
        EngineUnavailableError: The directory does not hold a model that loads, or it does not know the language.
    """

    def __init__(self, model_path: Path, options: WhisperOptions | None = None, *, name: str | None = None) -> None:
        from ctranslate2 import get_cuda_device_count
        from faster_whisper import WhisperModel

        self.options = options or WhisperOptions()
        self.model = name or model_path.name
        on_gpu = self.options.device != "cpu" and get_cuda_device_count() > 0
        try:
            self.compute_type = self.options.compute_type or (
                "default" if on_gpu else fastest_on_cpu(model_path, self.options.threads)
            )
            self.library = WhisperModel(
                str(model_path),
                device=self.options.device,
                compute_type=self.compute_type,
                cpu_threads=self.options.threads,
                num_workers=GPU_WORKERS if on_gpu else CPU_WORKERS,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            if self.options.device not in ("auto", "cpu") and not on_gpu:
                raise EngineUnavailableError(
                    f"whisper finds no usable GPU (compute.device = {self.options.device}: {one_line(error)})",
                    "nvidia-smi, or --device cpu",
                ) from error
            raise EngineUnavailableError(
                f"whisper model {model_path} cannot be loaded ({one_line(error)})",
                f"sotto models pull {self.model}",
            ) from error
        self.language = self._checked_language()
        self.finals_first = FinalsFirst(self.options.threads)
        self._decoder = WhisperDecoder(self.library, self.options.task, self.options.prompt, self.options.hotwords)
        # Partials are decoded here, on a thread of their own, so that they never stand before a final.
        self.partial_threads: Executor = ThreadPoolExecutor(1, "stt-partials")

    def _checked_language(self) -> str | None:
        language = self.options.language
        multilingual = self.library.model.is_multilingual
        if self.options.task == "translate" and not multilingual:
            raise EngineUnavailableError(
                f"whisper model {self.model} knows English only and does not translate (stt.task = translate)",
                "sotto models pull base",
            )
        if language == "auto":
            return None if multilingual else "en"
        if language not in self.library.supported_languages:
            raise EngineUnavailableError(
                f"whisper model {self.model} does not know stt.language = {language!r}",
                "choose auto, or a multilingual model such as base",
            )
        return language

    @property
    def languages(self) -> list[str]:
        """See `KnowsLanguages`."""
        return list(self.library.supported_languages)

    @property
    def window(self) -> WindowLimits:
        """See `UtteranceModel.window`."""
        return WINDOW

    @property
    def partial_interval_secs(self) -> float:
        """See `UtteranceModel.partial_interval_secs`."""
        return self.options.partial_interval_secs

    def written_language(self, spoken: str | None) -> str | None:
        """See `UtteranceModel.written_language`."""
        return "en" if self.options.task == "translate" else spoken

    def warm_up(self) -> str | None:
        """Decode half a second of silence."""
        self._decode_short(np.zeros(SAMPLE_RATE_HZ // 2, np.int16), self.language, lambda: True)
        give_back_memory()
        return None

    def close(self) -> None:
        """Free the model's memory."""
        self.partial_threads.shutdown(wait=True, cancel_futures=True)
        self.library.model.unload_model()

    def decode(self, audio_s16: Pcm16) -> Transcript:
        """Decode one utterance as well as the model can; what is less urgent waits meanwhile.

        Args:
            audio_s16: shape (n_samples,), int16, 16 kHz.

        Returns:
            The transcript; its language is the one that was spoken, also where the text is a translation.

        Raises:
            EngineError: The model failed on it.
        """
        with self.finals_first.final(), _failing_in_one_line():
            if sound_secs(audio_s16) > MAX_SOUND_SECS:
                return self._transcript(self._decode_long(audio_s16), audio_s16)
            decoding = self._decode_short(audio_s16, self.language, lambda: True)
            if decoding is None:
                decoding = self._decoder.decode(audio_s16, window_secs=FULL_SECS, language=self.language)
            return self._transcript([decoding] if decoding else [], audio_s16)

    def guess(self, audio_s16: Pcm16, wanted: Callable[[], bool], *, language: str | None = None) -> Transcript | None:
        """Decode what has been said so far, unless that is doubtful or no longer wanted.

        Args:
            audio_s16: shape (n_samples,), int16, 16 kHz; at most 29.9 s.
            wanted: Asked between two steps; False ends the work.
            language: ISO 639-1 code of a guess, which saves the detection where the options leave the language open.

        Raises:
            EngineError: The model failed on it.
        """
        with _failing_in_one_line():
            decoding = self._decode_short(
                audio_s16, self.language or language, lambda: wanted() and not self.finals_first.busy
            )
            return self._transcript([decoding], audio_s16) if decoding else None

    def _decode_short(self, audio_s16: Pcm16, language: str | None, wanted: Callable[[], bool]) -> Decoding | None:
        """In the shortest window; None where that is doubtful, or was no longer wanted."""
        seconds = sound_secs(audio_s16)
        window = window_secs(self.model, language, seconds)
        short = window < FULL_SECS
        decoding = self._decoder.decode(
            audio_s16,
            window_secs=window,
            language=language,
            max_tokens=max_tokens(seconds) if short else None,
            wanted=wanted,
        )
        if decoding and short and is_doubtful(decoding, self.options.guards):
            logger.debug(f"whisper: {seconds:.1f} s of sound are doubtful in a window of {window:.1f} s")
            return None
        return decoding

    def _decode_long(self, audio_s16: Pcm16) -> list[Any]:
        """More than a window at once, by the library's own walk through it."""
        segments, info = self.library.transcribe(
            as_f32(audio_s16),
            language=self.language,
            task=self.options.task,
            initial_prompt=self.options.prompt,
            hotwords=" ".join(self.options.hotwords) or None,
            beam_size=1,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
            # The guards below decide, on more than these.
            no_speech_threshold=None,
            log_prob_threshold=None,
            compression_ratio_threshold=None,
        )
        return [
            Decoding(
                segment.text,
                len(segment.tokens),
                info.language,
                segment.avg_logprob,
                segment.no_speech_prob,
                segment.compression_ratio,
            )
            for segment in segments
        ]

    def _transcript(self, decodings: list[Decoding], audio_s16: Pcm16) -> Transcript:
        level_dbfs = speech_level_dbfs(audio_s16)
        kept = [decoding for decoding in decodings if self.believes(decoding, level_dbfs)]
        language = decodings[0].language if decodings else self.language
        text = "".join(decoding.text for decoding in kept).strip()
        if not text:
            return Transcript("", language=language)
        confidence = math.exp(sum(decoding.avg_logprob for decoding in kept) / len(kept))
        return Transcript(text, language=language, confidence=confidence)

    def believes(self, segment: Any, level_dbfs: float) -> bool:
        """Whether the guards let a segment of the library pass.

        Args:
            segment: A Decoding, or a faster-whisper segment.
            level_dbfs: Of the sound it was decoded from.
        """
        objection = self.options.guards.objection(
            segment.text,
            no_speech_probability=segment.no_speech_prob,
            average_log_probability=segment.avg_logprob,
            compression_ratio=segment.compression_ratio,
            level_dbfs=level_dbfs,
        )
        if objection:
            logger.debug(f"whisper: dropped as {objection}: {segment.text!r}")
        return objection is None


@contextmanager
def _failing_in_one_line() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise EngineError(f"whisper failed: {one_line(error)}") from error
