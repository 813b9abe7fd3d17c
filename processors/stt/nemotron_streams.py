"""A loaded Nemotron model and what it hears in one stretch of speech.

In:  16 kHz mono float32.   Out: text, words with times, log-probabilities of the tokens.
"""

import itertools
import math
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from processors.errors import EngineError, one_line
from processors.stt.nemotron_export import FRAME_MS, WORD_START, NemotronExport
from processors.stt.nemotron_hotwords import hotword_files
from processors.stt.recognizer import SAMPLE_RATE_HZ, Word

AudioF32 = np.ndarray[Any, np.dtype[np.float32]]

FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000  # 160
FRAME_SECS = FRAME_MS / 1000
# The exports treat a first chunk like any other: what lies in its look-back (90 ms) is never heard. The rest is margin.
LEAD_FRAMES = 20
# Tokens come up to this long after their sound; so much silence must follow it in whole chunks.
SETTLE_FRAMES = 20


class NemotronStreams:
    """A model in memory; several threads may each decode a stream of it at the same time.

    Args:
        export: Its files.
        threads: CPU threads of one decoding.
        hotwords: Phrases that the model can spell.
        provider: Where sherpa-onnx runs it: cpu, cuda or coreml.

    Raises:
        RuntimeError: sherpa-onnx cannot load it.
    """

    def __init__(self, export: NemotronExport, threads: int, hotwords: Sequence[str], provider: str = "cpu") -> None:
        self.export = export
        self._sherpa = _load(export, threads, hotwords, provider)

    def start(self, language: str | None) -> Any:
        """A stream of sherpa-onnx; it has heard the lead.

        Args:
            language: What is spoken; None lets a multilingual model find out.
        """
        stream = self._sherpa.create_stream()
        if self.export.languages is not None:
            stream.set_option("language", language or "auto")
        stream.accept_waveform(SAMPLE_RATE_HZ, _silence(LEAD_FRAMES))
        return stream

    def has_chunk(self, stream: Any) -> bool:
        """Whether there is a whole chunk to decode."""
        return self._sherpa.is_ready(stream)

    def decode(self, stream: Any) -> Any:
        """Decode every whole chunk that the stream has, and return its result.

        Raises:
            EngineError: The model failed on it.
        """
        try:
            while self.has_chunk(stream):
                self._sherpa.decode_stream(stream)
            return self._sherpa.get_result_all(stream)
        except RuntimeError as error:
            raise EngineError(f"nemotron failed: {one_line(error)}") from error


@dataclass(frozen=True)
class Heard:
    """What one stretch of speech came to."""

    text: str = ""
    words: tuple[Word, ...] = ()
    log_probabilities: tuple[float, ...] = ()

    def then(self, later: "Heard") -> "Heard":
        return Heard(
            f"{self.text} {later.text}".strip(),
            self.words + later.words,
            self.log_probabilities + later.log_probabilities,
        )


class Stretch:
    """One stream of sherpa-onnx, with silence before and, at its end, after the speaker's sound.

    Args:
        streams: The loaded model.
        language: What is spoken; None lets a multilingual model find out.
        start_sample: Where it begins in the utterance.
    """

    def __init__(self, streams: NemotronStreams, language: str | None, start_sample: int) -> None:
        self._streams = streams
        self._stream = streams.start(language)
        self._start_secs = start_sample / SAMPLE_RATE_HZ
        self._n_samples = 0
        self._result: Any = None

    def feed(self, audio_f32: AudioF32) -> None:
        """Take more sound.

        Raises:
            EngineError: The model failed on it.
        """
        self._n_samples += len(audio_f32)
        self._stream.accept_waveform(SAMPLE_RATE_HZ, audio_f32)
        self._result = self._streams.decode(self._stream)

    def settle(self) -> None:
        """Let the last words come out; no sound may follow.

        Raises:
            EngineError: The model failed on it.
        """
        self._stream.accept_waveform(SAMPLE_RATE_HZ, _silence(self._streams.export.chunk_frames + SETTLE_FRAMES))
        self._result = self._streams.decode(self._stream)

    @property
    def heard(self) -> Heard:
        """All of it so far; sound must have come."""
        result = self._result
        return Heard(result.text.strip(), self._words(), tuple(result.ys_probs))

    def _words(self) -> tuple[Word, ...]:
        result, export = self._result, self._streams.export
        # An output of the encoder is about the frames after its look-back; the lead was never the speaker's.
        shift_secs = self._start_secs + (export.lookback_frames - LEAD_FRAMES) * FRAME_SECS
        end_secs = self._start_secs + self._n_samples / SAMPLE_RATE_HZ
        times_secs = [
            round(min(max(time_secs + shift_secs, self._start_secs), end_secs), 3) for time_secs in result.timestamps
        ]
        probabilities = result.ys_probs if len(result.ys_probs) == len(result.tokens) else None
        bounds = [*_word_bounds(result.tokens), len(result.tokens)]
        words = []
        for first, after in itertools.pairwise(bounds):
            next_secs = times_secs[after] if after < len(times_secs) else end_secs
            last_secs = times_secs[after - 1] + export.output_frames * FRAME_SECS
            words.append(
                Word(
                    "".join(result.tokens[first:after]).replace(WORD_START, " ").strip(),
                    times_secs[first],
                    round(min(last_secs, next_secs), 3),
                    probability(probabilities[first:after]) if probabilities else None,
                )
            )
        return tuple(words)


def _load(export: NemotronExport, threads: int, hotwords: Sequence[str], provider: str) -> Any:
    from sherpa_onnx import OnlineRecognizer

    with ExitStack() as files:
        extra: dict[str, str] = {}
        if hotwords:
            hotwords_file, vocabulary = files.enter_context(hotword_files(export.tokens, hotwords))
            extra = {
                "decoding_method": "modified_beam_search",
                "modeling_unit": "bpe",
                "bpe_vocab": str(vocabulary),
                "hotwords_file": str(hotwords_file),
            }
        return OnlineRecognizer.from_transducer(
            tokens=str(export.tokens_file),
            encoder=str(export.encoder),
            decoder=str(export.decoder),
            joiner=str(export.joiner),
            num_threads=threads,
            provider=provider,
            **extra,  # pyright: ignore[reportArgumentType]
        )


def _word_bounds(tokens: Sequence[str]) -> list[int]:
    """Where words begin; sherpa-onnx writes the mark of a word's start as a space."""
    return [index for index, token in enumerate(tokens) if index == 0 or token.startswith((" ", WORD_START))]


def probability(log_probabilities: Sequence[float]) -> float | None:
    """The geometric mean; None of nothing."""
    return math.exp(statistics.fmean(log_probabilities)) if log_probabilities else None


def _silence(n_frames: int) -> AudioF32:
    return np.zeros(n_frames * FRAME_SAMPLES, np.float32)
