"""A recording cut at its pauses, so that any recognizer can transcribe it piece by piece.

In:  16 kHz mono s16 of any length.   Out: spans of speech; Segments.
The pauses are Silero's, by faster-whisper's own vectorised use of the model.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, Recognizer, Segment, Word
from processors.stt.samples import as_f32

# A span no longer than what Whisper sees at once.
MAX_SPAN_SECS = 28.0
MIN_PAUSE_SECS = 0.5
PADDING_SECS = 0.4
# Looked at in one go: bounds the memory that an hour of sound takes.
BLOCK_SECS = 300.0
# How much a recognizer gets at a time, so that conversations on the same engine get their turn in between.
STEP_SAMPLES = SAMPLE_RATE_HZ // 2


@dataclass(frozen=True)
class Span:
    """A stretch with speech in it; samples from the start of the recording."""

    start_sample: int
    end_sample: int

    @property
    def start_secs(self) -> float:
        return self.start_sample / SAMPLE_RATE_HZ

    @property
    def end_secs(self) -> float:
        return self.end_sample / SAMPLE_RATE_HZ


def speech_spans(audio_s16: Pcm16, *, max_secs: float = MAX_SPAN_SECS) -> Iterator[Span]:
    """The stretches of a recording that hold speech, in order.

    Args:
        audio_s16: shape (n_samples,), int16, 16 kHz mono.
        max_secs: A longer stretch is cut at its best pause.
    """
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(
        min_silence_duration_ms=round(MIN_PAUSE_SECS * 1000),
        speech_pad_ms=round(PADDING_SECS * 1000),
        max_speech_duration_s=max_secs,
    )
    block_samples = int(BLOCK_SECS * SAMPLE_RATE_HZ)
    start = 0
    while start < len(audio_s16):
        block = audio_s16[start : start + block_samples]
        last = start + len(block) >= len(audio_s16)
        found = [
            Span(start + int(stamp["start"]), start + int(stamp["end"]))
            for stamp in get_speech_timestamps(as_f32(block), options)
        ]
        if last or not found:
            yield from found
            start += len(block)
            continue
        # The block may end within speech: its last span is looked at again, as the next block's first.
        yield from found[:-1]
        start = found[-1].start_sample if len(found) > 1 else found[-1].end_sample
        if len(found) == 1:
            yield found[0]


def joined(spans: Iterable[Span], *, max_secs: float, max_gap_secs: float) -> Iterator[Span]:
    """Neighbouring stretches of speech as one, with what lies between them.

    Args:
        spans: In order.
        max_secs: The longest result, unless one stretch is longer by itself.
        max_gap_secs: A longer silence is left out.
    """
    current: Span | None = None
    for span in spans:
        if current is None:
            current = span
        elif span.end_secs - current.start_secs <= max_secs and span.start_secs - current.end_secs <= max_gap_secs:
            current = Span(current.start_sample, span.end_sample)
        else:
            yield current
            current = span
    if current:
        yield current


def transcribe_by_pauses(recognizer: Recognizer, audio_s16: Pcm16, *, word_times: bool) -> Iterator[Segment]:
    """Transcribe a recording with a recognizer of its own, one stretch of speech after the other.

    Args:
        recognizer: Fresh; nobody else uses it.
        audio_s16: shape (n_samples,), int16, 16 kHz mono.
        word_times: Whether segments carry words.

    Raises:
        EngineError: The engine failed.
    """
    try:
        for span in speech_spans(audio_s16):
            for at in range(span.start_sample, span.end_sample, STEP_SAMPLES):
                recognizer.accept(audio_s16[at : min(at + STEP_SAMPLES, span.end_sample)].astype("<i2").tobytes())
            transcript = recognizer.finish()
            if not transcript.text:
                continue
            words = tuple(
                Word(word.text, word.start_secs + span.start_secs, word.end_secs + span.start_secs, word.probability)
                for word in transcript.words
            )
            yield Segment(
                transcript.text,
                words[0].start_secs if words else span.start_secs,
                words[-1].end_secs if words else span.end_secs,
                words if word_times else (),
                transcript.language,
                transcript.confidence,
            )
    finally:
        recognizer.reset()
