"""Transcripts of whole recordings, written down: plain text, subtitles, JSON.

In:  Segments.   Out: text in one of FORMATS, as OpenAI's audio API names and shapes them.
Sources: the OpenAI API reference (create transcription); SubRip as players read it; WebVTT, W3C.
"""

import html
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from agent.subtitles import Cue, cues_of, label_of
from processors.stt.languages import SPACELESS, language_name
from processors.stt.recognizer import Segment, Task

Format = Literal["json", "text", "srt", "vtt", "verbose_json"]
FORMATS: tuple[Format, ...] = get_args(Format)
# WebVTT has no cue without a duration.
MIN_CUE_MS = 1
TIME_DIGITS = 3
SEEK_FRAMES_PER_SEC = 100


@dataclass(frozen=True)
class Transcription:
    """A whole recording in words.

    Attributes:
        segments: In order.
        duration_secs: Of the recording.
        task: `translate` if the text is English whatever was spoken.
        language: ISO 639-1 code that was asked for, for segments that carry none.
        temperature: What it was decoded with.
        with_words: Whether `verbose_json` lists the words.
        with_segments: Whether `verbose_json` lists the segments.
    """

    segments: Sequence[Segment]
    duration_secs: float
    task: Task = "transcribe"
    language: str | None = None
    temperature: float = 0.0
    with_words: bool = False
    with_segments: bool = True

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(delta(segment, index) for index, segment in enumerate(self.segments))

    @property
    def spoken_language(self) -> str | None:
        """ISO 639-1 code of what was spoken, as heard or else as asked for; None if nobody knows."""
        return next((segment.language for segment in self.segments if segment.language), self.language)


def delta(segment: Segment, index: int) -> str:
    """What a segment adds to the text before it: itself, after a space where its language has spaces.

    Args:
        segment: Any of the recording.
        index: 0 for the first.
    """
    text = _said(segment)
    return text if index == 0 or (segment.language in SPACELESS and not segment.side) else f" {text}"


def _said(segment: Segment) -> str:
    return f"{label_of(segment)} {segment.text}".lstrip()


def written(transcription: Transcription, kind: Format) -> str:
    """A transcription as the body of a file or an answer.

    Args:
        transcription: What was heard.
        kind: One of FORMATS.
    """
    if kind == "text":
        return transcription.text + "\n"
    if kind == "srt":
        return subrip(transcription.segments)
    if kind == "vtt":
        return webvtt(transcription.segments)
    return json.dumps(_verbose(transcription) if kind == "verbose_json" else _plain(transcription), ensure_ascii=False)


def usage(duration_secs: float) -> dict[str, Any]:
    """What OpenAI would charge for: whole seconds, rounded up."""
    return {"type": "duration", "seconds": math.ceil(duration_secs)}


def subrip(segments: Sequence[Segment]) -> str:
    """SubRip subtitles; empty if nothing was said. An arrow within the text is made harmless."""
    cues = (
        f"{number}\n{_cue_times(cue, ',')}\n{cue.text.replace('-->', '->')}\n"
        for number, cue in enumerate(cues_of(segments), 1)
    )
    return "\n".join(cues)


def webvtt(segments: Sequence[Segment]) -> str:
    """WebVTT subtitles; the text's `&`, `<` and `>` are escaped."""
    cues = (f"{_cue_times(cue, '.')}\n{html.escape(cue.text, quote=False)}\n" for cue in cues_of(segments))
    return "\n".join(("WEBVTT\n", *cues))


def _cue_times(cue: Cue, decimal_mark: str) -> str:
    start_ms = round(max(0.0, cue.start_secs) * 1000)
    end_ms = max(round(cue.end_secs * 1000), start_ms + MIN_CUE_MS)
    return f"{_clock(start_ms, decimal_mark)} --> {_clock(end_ms, decimal_mark)}"


def _clock(at_ms: int, decimal_mark: str) -> str:
    hours, rest_ms = divmod(at_ms, 3_600_000)
    minutes, rest_ms = divmod(rest_ms, 60_000)
    secs, ms = divmod(rest_ms, 1000)
    return f"{hours:02d}:{minutes:02d}:{secs:02d}{decimal_mark}{ms:03d}"


def _plain(transcription: Transcription) -> dict[str, Any]:
    return {"text": transcription.text, "usage": usage(transcription.duration_secs)}


def _verbose(transcription: Transcription) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "task": transcription.task,
        "language": "english" if transcription.task == "translate" else language_name(transcription.spoken_language),
        "duration": round(transcription.duration_secs, TIME_DIGITS),
        "text": transcription.text,
    }
    if transcription.with_segments:
        answer["segments"] = [
            _verbose_segment(segment, index, transcription.temperature)
            for index, segment in enumerate(transcription.segments)
        ]
    if transcription.with_words:
        answer["words"] = [
            {
                "word": word.text,
                "start": round(word.start_secs, TIME_DIGITS),
                "end": round(word.end_secs, TIME_DIGITS),
            }
            for segment in transcription.segments
            for word in segment.words
        ]
    answer["usage"] = usage(transcription.duration_secs)
    return answer


def _verbose_segment(segment: Segment, index: int, temperature: float) -> dict[str, Any]:
    """One segment; clients want every number, so what an engine does not know is worked out or taken as 0."""
    log_probability = segment.average_log_probability
    if log_probability is None:
        log_probability = math.log(segment.confidence) if segment.confidence else 0.0
    return {
        "id": index,
        "seek": int(segment.start_secs * SEEK_FRAMES_PER_SEC),
        "start": round(segment.start_secs, TIME_DIGITS),
        "end": round(segment.end_secs, TIME_DIGITS),
        "text": _said(segment),
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": log_probability,
        "compression_ratio": segment.compression_ratio or _compression_ratio(segment.text),
        "no_speech_prob": segment.no_speech_probability or 0.0,
    }


def _compression_ratio(text: str) -> float:
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))
