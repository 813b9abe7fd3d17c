"""What an OpenAI-compatible server heard, read from its `json` or `verbose_json`.

In:  the JSON object.   Out: a Transcript, or Segments placed within a recording.
Fields: the reference of OpenAI's audio API. Whisper servers differ: words stand beside the segments (OpenAI) or inside
them (faster-whisper's servers), the language is a name ("english") or a code, and anything but `text` may be missing.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from processors.clean_text import clean_text
from processors.errors import EngineError
from processors.stt.recognizer import Segment, Transcript, Word

# Whisper itself drops a segment that is likely no speech and badly heard; it writes "Thank you." into silence.
NO_SPEECH_PROBABILITY = 0.6
MIN_AVERAGE_LOG_PROBABILITY = -1.0
# What a server says beyond these means them: the longest time, the least sure, the most repetitive.
MAX_SECS = 86_400.0
LEAST_LOG_PROBABILITY = -100.0
MAX_COMPRESSION_RATIO = 1000.0

# As Whisper names the languages that most people speak.
_LANGUAGE_CODES = {
    "arabic": "ar",
    "bengali": "bn",
    "bulgarian": "bg",
    "catalan": "ca",
    "chinese": "zh",
    "croatian": "hr",
    "czech": "cs",
    "danish": "da",
    "dutch": "nl",
    "english": "en",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hebrew": "he",
    "hindi": "hi",
    "hungarian": "hu",
    "indonesian": "id",
    "italian": "it",
    "japanese": "ja",
    "korean": "ko",
    "lao": "lo",
    "malay": "ms",
    "norwegian": "no",
    "persian": "fa",
    "polish": "pl",
    "portuguese": "pt",
    "romanian": "ro",
    "russian": "ru",
    "serbian": "sr",
    "slovak": "sk",
    "spanish": "es",
    "swahili": "sw",
    "swedish": "sv",
    "tamil": "ta",
    "thai": "th",
    "turkish": "tr",
    "ukrainian": "uk",
    "urdu": "ur",
    "vietnamese": "vi",
}


@dataclass(frozen=True)
class Answer:
    """What was heard in one upload.

    Attributes:
        text: All of it.
        language: ISO 639-1 code where it is known.
        words: Where they were asked for and the server knows them.
        segments: None of them where the server gave none; times from the first sample of the upload.
    """

    text: str
    language: str | None
    words: tuple[Word, ...]
    segments: tuple[Segment, ...]

    def transcript(self) -> Transcript:
        """The upload as one utterance, without what the model itself doubts to be speech."""
        kept = [segment for segment in self.segments if not _is_phantom(segment)]
        dropped = len(kept) < len(self.segments)
        text = " ".join(segment.text for segment in kept) if dropped else self.text
        known = [segment.average_log_probability for segment in kept if segment.average_log_probability is not None]
        confidence = math.exp(sum(known) / len(known)) if known and text else None
        return Transcript(text, () if dropped else self.words, self.language if text else None, confidence)

    def placed(self, start_secs: float, end_secs: float) -> Iterator[Segment]:
        """The segments within the recording that the upload was cut from; no time lies beyond the upload.

        Args:
            start_secs: Where the upload begins in the recording.
            end_secs: Where it ends.
        """
        whole = Segment(self.text, 0.0, end_secs - start_secs, self.words, self.language)
        for segment in self.segments or ((whole,) if self.text else ()):
            if _is_phantom(segment):
                continue
            words = tuple(
                Word(
                    word.text,
                    min(start_secs + word.start_secs, end_secs),
                    min(start_secs + word.end_secs, end_secs),
                    word.probability,
                )
                for word in segment.words
            )
            yield replace(
                segment,
                start_secs=min(start_secs + segment.start_secs, end_secs),
                end_secs=min(start_secs + segment.end_secs, end_secs),
                words=words,
            )


def read_answer(payload: dict[str, Any], shown_url: str, language: str | None) -> Answer:
    """Read what a server answered to an upload.

    Args:
        payload: Its JSON.
        shown_url: The server, for the message.
        language: What it was told to listen for, if anything.

    Raises:
        EngineError: There is no text in it.
    """
    text = payload.get("text")
    if not isinstance(text, str):
        fields = clean_text(", ".join(sorted(payload)[:5])) or "nothing"
        raise EngineError(f"{shown_url} answers JSON without text (it has {fields}): look at the server's log")
    code = _language_code(payload.get("language")) or language
    words = _words(payload.get("words"))
    return Answer(clean_text(text).strip(), code, words, tuple(_segments(payload.get("segments"), words, code)))


def _segments(entries: Any, words: tuple[Word, ...], language: str | None) -> Iterator[Segment]:
    found = [
        (text, times, entry)
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and (text := _label(entry.get("text"))) and (times := _times(entry))
    ]
    for index, (text, (start_secs, end_secs), entry) in enumerate(found):
        from_secs = start_secs if index else -math.inf
        to_secs = found[index + 1][1][0] if index + 1 < len(found) else math.inf
        own = _words(entry.get("words")) or tuple(
            word for word in words if from_secs <= (word.start_secs + word.end_secs) / 2 < to_secs
        )
        average = _number(entry.get("avg_logprob"), LEAST_LOG_PROBABILITY, 0.0)
        yield Segment(
            text,
            start_secs,
            end_secs,
            own,
            language,
            None if average is None else math.exp(average),
            average,
            _number(entry.get("no_speech_prob"), 0.0, 1.0),
            _number(entry.get("compression_ratio"), 0.0, MAX_COMPRESSION_RATIO),
        )


def _words(entries: Any) -> tuple[Word, ...]:
    words = []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and (text := _label(entry.get("word"))) and (times := _times(entry)):
            words.append(Word(text, *times, _number(entry.get("probability"), 0.0, 1.0)))
    return tuple(words)


def _label(text: Any) -> str:
    return clean_text(text).strip() if isinstance(text, str) else ""


def _times(entry: dict[str, Any]) -> tuple[float, float] | None:
    start_secs, end_secs = (_number(entry.get(key), 0.0, MAX_SECS) for key in ("start", "end"))
    return None if start_secs is None or end_secs is None else (start_secs, max(start_secs, end_secs))


def _is_phantom(segment: Segment) -> bool:
    return (
        segment.no_speech_probability is not None
        and segment.average_log_probability is not None
        and segment.no_speech_probability > NO_SPEECH_PROBABILITY
        and segment.average_log_probability < MIN_AVERAGE_LOG_PROBABILITY
    )


def _language_code(name: Any) -> str | None:
    if not isinstance(name, str):
        return None
    plain = name.strip().lower().replace("_", "-")
    code = _LANGUAGE_CODES.get(plain, plain.split("-")[0])
    return code if re.fullmatch("[a-z]{2,3}", code) else None


def _number(value: Any, least: float, most: float) -> float | None:
    """The number within its limits; None of what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # First of all, for an integer may be too long for a float; NaN passes through.
    bounded = float(min(max(value, least), most))
    return None if math.isnan(bounded) else bounded
