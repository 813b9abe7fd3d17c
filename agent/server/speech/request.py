"""What a caller of the audio API asks for, read from the fields of its form.

In:  text fields.   Out: AudioRequest, or an ApiError that names the field.
Source: the OpenAI API reference (create transcription, create translation). Fields that it knows and we do not need,
such as `include[]` and `chunking_strategy`, are passed over; so is `model`, for one engine serves every name.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.server.wire.errors import MAX_SHOWN_CHARS, ApiError, invalid_field
from agent.transcripts import Format
from processors.stt.languages import language_code, read_language
from processors.stt.recognizer import Task, TranscriptionRequest

STREAMABLE: tuple[Format, ...] = ("json", "text")


class AudioRequest(BaseModel):
    """The fields of one request.

    Attributes:
        languages: Of newer clients: what may be spoken; one of them counts as `language`.
        keywords: Of newer clients: words to expect, which join the prompt.
    """

    model_config = ConfigDict(frozen=True)

    response_format: Format = "json"
    language: str | None = None
    languages: tuple[str, ...] = ()
    prompt: str | None = None
    keywords: tuple[str, ...] = ()
    temperature: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    timestamp_granularities: tuple[Literal["word", "segment"], ...] = ()
    stream: bool = False

    @property
    def with_words(self) -> bool:
        """Whether the answer lists words."""
        return self.response_format == "verbose_json" and "word" in self.timestamp_granularities

    @property
    def with_segments(self) -> bool:
        """Whether the answer lists segments, as it does unless only words are asked for."""
        return not self.timestamp_granularities or "segment" in self.timestamp_granularities

    @property
    def language_code(self) -> str | None:
        """ISO 639-1 code, `auto`, or None where the engine's own setting is to count."""
        named = self.language or (self.languages[0] if len(self.languages) == 1 else None)
        return language_code(named) if named else None

    def for_engine(self, task: Task) -> TranscriptionRequest:
        """What the engine is asked."""
        hints = [self.prompt or "", ", ".join(self.keywords)]
        return TranscriptionRequest(
            language=self.language_code,
            task=task,
            prompt=" ".join(filter(None, hints)) or None,
            temperature=self.temperature,
            word_times=self.with_words,
            prompt_results=self.stream,
        )


LISTS = ("languages", "keywords", "timestamp_granularities")
FIELDS = frozenset(AudioRequest.model_fields)


def audio_request_of(fields: Mapping[str, list[str]]) -> AudioRequest:
    """Read the fields of a form; those left empty count as left out.

    Args:
        fields: Text by name, in order.

    Raises:
        ApiError: A field is invalid or sent twice; `param` names it.
    """
    values: dict[str, str | list[str]] = {}
    for name in FIELDS.intersection(fields):
        sent = [text for text in fields[name] if text.strip()]
        if name not in LISTS and len(sent) > 1:
            raise ApiError(400, f"{name} is given {len(sent)} times", param=name, code="invalid_value")
        if sent:
            values[name] = sent if name in LISTS else sent[0]
    try:
        request = AudioRequest.model_validate(values)
    except ValidationError as error:
        raise invalid_field(error) from None
    _check_languages(request)
    if request.stream and request.response_format not in STREAMABLE:
        raise ApiError(
            400,
            f"stream = true needs response_format json or text, not {request.response_format}",
            param="stream",
            code="unsupported_value",
        )
    return request


def _check_languages(request: AudioRequest) -> None:
    """Whether a language is one at all; whether the engine knows it is for the engine to say."""
    named = [("language", request.language), *(("languages", text) for text in request.languages)]
    for name, text in named:
        if text is None or text.strip().lower() == "auto":
            continue
        try:
            read_language(text[:MAX_SHOWN_CHARS])
        except ValueError as error:
            raise ApiError(400, f"{name} = {error}", param=name, code="invalid_value") from None
