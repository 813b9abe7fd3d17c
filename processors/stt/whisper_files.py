"""Whole recordings through Whisper, several windows at a time.

In:  16 kHz mono s16 of any length.   Out: Segments, as soon as their batch is decoded.
Windows are cut at pauses and hold as much speech as Whisper sees at once; silence between them is not decoded. What is
shorter is decoded in a shorter window (`whisper_window.py`), and in the full one where that is doubtful.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from processors.errors import EngineError, UnsupportedRequestError, one_line
from processors.stt.pauses import MAX_SPAN_SECS, Span, joined, speech_spans
from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, Segment, TranscriptionRequest, Word
from processors.stt.samples import as_f32, speech_level_dbfs
from processors.stt.whisper_decoder import FRAMES_PER_SEC, Decoding, compression_ratio
from processors.stt.whisper_model import LoadedWhisper
from processors.stt.whisper_window import FULL_SECS, is_doubtful, max_tokens, window_secs

# Windows decoded together: the decoder's weights are read once for all of them.
BATCH_WINDOWS = 4
# Silence longer than this is not worth decoding with the speech around it.
MAX_GAP_SECS = 3.0
# Tried in turn on a window that came out as repetition, as the Whisper paper does.
FALLBACK_TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)


def transcribe_recording(engine: LoadedWhisper, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
    """See `RecognizerEngine.transcribe`.

    The request is checked at the call, not at the first segment.
    """
    language = _language(engine, request)
    return _segments(engine, audio_s16, request, language)


def _language(engine: LoadedWhisper, request: TranscriptionRequest) -> str | None:
    """The language to decode in; None where it is to be detected.

    Raises:
        UnsupportedRequestError: The model does not know it, or does not translate.
    """
    multilingual = engine.library.model.is_multilingual
    if request.task == "translate" and not multilingual:
        raise UnsupportedRequestError(
            f"whisper model {engine.model} knows English only and does not translate: sotto models pull base", "task"
        )
    if request.language is None:
        return engine.language
    if request.language == "auto":
        return None if multilingual else "en"
    if request.language not in engine.library.supported_languages:
        raise UnsupportedRequestError(
            f"whisper model {engine.model} does not know language = {request.language!r}"
            " (ISO 639-1, or auto): a multilingual model such as base knows 99",
            "language",
        )
    return request.language


def _segments(
    engine: LoadedWhisper, audio_s16: Pcm16, request: TranscriptionRequest, language: str | None
) -> Iterator[Segment]:
    batch_size = 1 if request.prompt_results else BATCH_WINDOWS
    batch: list[Span] = []
    for window in joined(speech_spans(audio_s16), max_secs=MAX_SPAN_SECS, max_gap_secs=MAX_GAP_SECS):
        batch.append(window)
        if len(batch) == batch_size:
            for segment in _decode(engine, audio_s16, batch, request, language):
                # Later windows are in the language that the first ones were found to be in.
                language = language or segment.language
                yield segment
            batch = []
    if batch:
        yield from _decode(engine, audio_s16, batch, request, language)


def _decode(
    engine: LoadedWhisper,
    audio_s16: Pcm16,
    batch: list[Span],
    request: TranscriptionRequest,
    language: str | None,
) -> Iterator[Segment]:
    start = batch[0].start_sample
    clips = [
        {"start": (span.start_sample - start) / SAMPLE_RATE_HZ, "end": (span.end_sample - start) / SAMPLE_RATE_HZ}
        for span in batch
    ]
    block_s16 = audio_s16[start : batch[-1].end_sample]
    options = {
        "task": request.task,
        "initial_prompt": request.prompt if request.prompt is not None else engine.options.prompt,
        "hotwords": " ".join(engine.options.hotwords) or None,
        "beam_size": 1,
        "without_timestamps": False,
        "word_timestamps": request.word_times,
    }
    longest_secs = max(clip["end"] - clip["start"] for clip in clips)
    window = window_secs(engine.model, language, longest_secs)
    engine.finals_first.wait()
    try:

        def decode(in_secs: float) -> tuple[list[Any], Any]:
            found, info = _windowed(engine, in_secs).transcribe(
                as_f32(block_s16),
                language=language,
                temperature=request.temperature,
                clip_timestamps=clips,
                batch_size=len(batch),
                **options,
            )
            return list(found), info

        found, info = decode(window)
        if window < FULL_SECS and any(_doubtful(found, clip, engine) for clip in clips):
            found, info = decode(FULL_SECS)
        for segment in found:
            at = int(segment.start * SAMPLE_RATE_HZ)
            level_dbfs = speech_level_dbfs(block_s16[at : int(segment.end * SAMPLE_RATE_HZ)])
            pieces = [segment]
            if segment.compression_ratio > engine.options.guards.compression_ratio:
                pieces = _decode_again(engine, block_s16, segment, info.language, options)
            for piece in pieces:
                if piece.text.strip() and engine.believes(piece, level_dbfs):
                    yield _segment(piece, start / SAMPLE_RATE_HZ, info.language, request)
    except (RuntimeError, ValueError) as error:
        raise EngineError(f"whisper failed: {one_line(error)}") from error


def _windowed(engine: LoadedWhisper, window_secs: float) -> Any:
    """The library's pipeline, with an encoder that is shown so much."""
    from faster_whisper import BatchedInferencePipeline

    class Windowed(BatchedInferencePipeline):
        def generate_segment_batched(self, features: Any, tokenizer: Any, options: Any) -> Any:
            shown = features[..., : round(window_secs * FRAMES_PER_SEC)]
            return super().generate_segment_batched(shown, tokenizer, options)

    return Windowed(engine.library)


def _doubtful(found: list[Any], clip: dict[str, float], engine: LoadedWhisper) -> bool:
    """Whether what was found in one stretch is not to be trusted."""
    inside = [segment for segment in found if clip["start"] <= segment.start < clip["end"]]
    if not inside:
        return False
    text = "".join(segment.text for segment in inside)
    n_tokens = sum(len(segment.tokens) for segment in inside)
    first = inside[0]
    whole = Decoding(
        text,
        n_tokens,
        "",
        first.avg_logprob,
        first.no_speech_prob,
        compression_ratio(text),
        n_tokens > max_tokens(clip["end"] - clip["start"]),
    )
    return is_doubtful(whole, engine.options.guards)


def _decode_again(
    engine: LoadedWhisper, block_s16: Pcm16, segment: Any, language: str, options: dict[str, Any]
) -> list[Any]:
    """The same stretch at rising temperatures, until it no longer repeats itself."""
    found, _ = engine.library.transcribe(
        as_f32(block_s16),
        language=language,
        temperature=FALLBACK_TEMPERATURES,
        condition_on_previous_text=False,
        clip_timestamps=[segment.start, segment.end],
        compression_ratio_threshold=engine.options.guards.compression_ratio,
        log_prob_threshold=engine.options.guards.log_probability,
        no_speech_threshold=None,
        **options,
    )
    return list(found)


def _segment(piece: Any, offset_secs: float, language: str, request: TranscriptionRequest) -> Segment:
    words = tuple(
        Word(word.word.strip(), float(word.start) + offset_secs, float(word.end) + offset_secs, float(word.probability))
        for word in (piece.words or () if request.word_times else ())
    )
    return Segment(
        piece.text.strip(),
        float(piece.start) + offset_secs,
        float(piece.end) + offset_secs,
        words,
        "en" if request.task == "translate" else language,
        float(np.clip(math.exp(piece.avg_logprob), 0.0, 1.0)),
        float(piece.avg_logprob),
        float(piece.no_speech_prob),
        float(piece.compression_ratio),
    )
