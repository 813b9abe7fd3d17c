"""Transcripts, speech, voices, choices of engines and errors as JSON, and back."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from agent.engines.candidates import Candidate, Choice, PassedOver
from agent.engines.process.wire import Head, WireError
from agent.engines.speed import Speed
from agent.settings.session import OptionError
from processors.errors import EngineError, EngineHungError, EngineUnavailableError, UnsupportedRequestError, one_line
from processors.stt.recognizer import Segment, Transcript, TranscriptionRequest, Word
from processors.tts.synthesizer import SpokenWord, Voice

MALFORMED = (KeyError, TypeError, ValueError, AttributeError)


class UnknownLeaseError(EngineError):
    """The engines that are asked are not held for whoever asks: the process that held them was another one."""


def error_head(error: BaseException) -> Head:
    """An error as the answer that tells it."""
    told: Head = {"kind": "engine", "message": one_line(error)}
    if isinstance(error, EngineUnavailableError):
        told |= {"kind": "unavailable", "message": error.reason, "mend": error.mend}
    elif isinstance(error, UnsupportedRequestError):
        told |= {"kind": "unsupported", "parameter": error.parameter}
    elif isinstance(error, OptionError):
        told["kind"] = "option"
    elif isinstance(error, EngineHungError):
        told["kind"] = "hung"
    elif isinstance(error, UnknownLeaseError):
        told["kind"] = "lease"
    return {"error": told}


def raise_error(head: Mapping[str, Any]) -> None:
    """Raise the error that an answer tells; none, and nothing happens."""
    if "error" not in head:
        return
    told = head["error"]
    if not isinstance(told, Mapping):
        raise WireError("the engine process tells an error that is none")
    message, kind = str(told.get("message")), told.get("kind")
    if kind == "unavailable":
        raise EngineUnavailableError(message, str(told.get("mend", "")))
    if kind == "unsupported":
        raise UnsupportedRequestError(message, str(told.get("parameter", "")))
    kinds = {"option": OptionError, "hung": EngineHungError, "lease": UnknownLeaseError}
    raise kinds.get(str(kind), EngineError)(message)


def transcript_json(transcript: Transcript) -> list[Any]:
    """A transcript, its words as lists."""
    return [
        transcript.text,
        [dataclasses.astuple(word) for word in transcript.words],
        transcript.language,
        transcript.confidence,
        transcript.spoken,
    ]


def transcript_of(value: Any) -> Transcript:
    """See `transcript_json`.

    Raises:
        WireError: It is none.
    """
    try:
        text, words, language, confidence, spoken = value
        return Transcript(str(text), tuple(Word(*word) for word in words), language, confidence, spoken)
    except MALFORMED as error:
        raise WireError("the engine process answers what is no transcript") from error


def segment_json(segment: Segment) -> dict[str, Any]:
    """A segment; its words as lists."""
    return {**vars(segment), "words": [dataclasses.astuple(word) for word in segment.words]}


def segment_of(value: Any) -> Segment:
    """See `segment_json`.

    Raises:
        WireError: It is none.
    """
    try:
        return Segment(**{**value, "words": tuple(Word(*word) for word in value["words"])})
    except MALFORMED as error:
        raise WireError("the engine process answers what is no segment") from error


def request_of(value: Any) -> TranscriptionRequest:
    """A request that was sent as its fields.

    Raises:
        WireError: It is none.
    """
    try:
        return TranscriptionRequest(**value)
    except MALFORMED as error:
        raise WireError("what is asked is no transcription") from error


def words_of(value: Any) -> tuple[SpokenWord, ...]:
    """Words of a chunk, each a list.

    Raises:
        WireError: They are none.
    """
    try:
        return tuple(SpokenWord(str(text), float(start), float(end)) for text, start, end in value)
    except MALFORMED as error:
        raise WireError("the engine process answers what are no words") from error


def voices_of(value: Any) -> list[Voice]:
    """Voices that were sent as their fields.

    Raises:
        WireError: They are none.
    """
    try:
        return [Voice(**one) for one in value]
    except MALFORMED as error:
        raise WireError("the engine process answers what are no voices") from error


def choice_json(choice: Choice[Any]) -> dict[str, Any]:
    """A choice without the engine itself."""
    candidate = choice.candidate
    return {
        "stage": choice.stage,
        "engine": choice.engine,
        "model": choice.model,
        "passed_over": [vars(one) for one in choice.passed_over],
        "note": choice.note,
        "speed": vars(choice.speed) if choice.speed else None,
        "candidate": [candidate.engine, candidate.model, candidate.weights] if candidate else None,
    }


def _not_here() -> Any:
    raise EngineUnavailableError("the engine process loads the engines", "restart sotto serve")


def choice_of(value: Mapping[str, Any], engine: Any) -> Choice[Any]:
    """See `choice_json`.

    Args:
        value: What came.
        engine: Takes the place of the engine.

    Raises:
        WireError: It is none.
    """
    try:
        passed: Sequence[Any] = value["passed_over"]
        from_ = value["candidate"]
        return Choice(
            str(value["stage"]),
            str(value["engine"]),
            str(value["model"]),
            engine,
            [PassedOver(**one) for one in passed],
            value["note"],
            Speed(**value["speed"]) if value["speed"] else None,
            Candidate(str(from_[0]), from_[1], _not_here, weights=str(from_[2])) if from_ else None,
        )
    except MALFORMED as error:
        raise WireError("the engine process answers what is no choice of an engine") from error
