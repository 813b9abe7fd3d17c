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

from processors.errors import EngineError
from processors.stt.recognizer import Segment, Transcript, Word

# Whisper itself drops a segment that is likely no speech and badly heard; it writes "Thank you." into silence.
NO_SPEECH_PROBABILITY = 0.6
MIN_AVERAGE_LOG_PROBABILITY = -1.0

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
        confidence = _probability(sum(known) / len(known)) if known and text else None
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
        fields = ", ".join(sorted(payload)[:5]) or "nothing"
        raise EngineError(f"{shown_url} answers JSON without text (it has {fields}): look at the server's log")
    code = _language_code(payload.get("language")) or language
    words = _words(payload.get("words"))
    return Answer(text.strip(), code, words, tuple(_segments(payload.get("segments"), words, code)))


def _segments(entries: Any, words: tuple[Word, ...], language: str | None) -> Iterator[Segment]:
    found = [entry for entry in entries if _is_segment(entry)] if isinstance(entries, list) else []
    starts = [float(entry["start"]) for entry in found]
    for index, entry in enumerate(found):
        from_secs = starts[index] if index else -math.inf
        to_secs = starts[index + 1] if index + 1 < len(found) else math.inf
        own = _words(entry.get("words")) or tuple(
            word for word in words if from_secs <= (word.start_secs + word.end_secs) / 2 < to_secs
        )
        average = _number(entry.get("avg_logprob"))
        yield Segment(
            entry["text"].strip(),
            starts[index],
            max(starts[index], float(entry["end"])),
            own,
            language,
            None if average is None else _probability(average),
            average,
            _number(entry.get("no_speech_prob")),
            _number(entry.get("compression_ratio")),
        )


def _is_segment(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("text"), str)
        and bool(entry["text"].strip())
        and _number(entry.get("start")) is not None
        and _number(entry.get("end")) is not None
    )


def _words(entries: Any) -> tuple[Word, ...]:
    words = []
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or not isinstance(entry.get("word"), str):
            continue
        start_secs, end_secs = _number(entry.get("start")), _number(entry.get("end"))
        if start_secs is not None and end_secs is not None and entry["word"].strip():
            words.append(Word(entry["word"].strip(), start_secs, end_secs, _number(entry.get("probability"))))
    return tuple(words)


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


def _probability(log_probability: float) -> float:
    return min(1.0, math.exp(log_probability))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
