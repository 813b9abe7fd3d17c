"""What a caller of POST /v1/audio/speech asks for, read from its JSON.

In:  an object.   Out: SpeechRequest, or an ApiError that names the field.
Source: the OpenAI API reference (create speech) and openai-python's types. `model` and `instructions` are passed over,
for one engine serves every name, and none takes directions.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr, ValidationError

from agent.engines.speaking import FASTEST, SLOWEST, Wish
from agent.plain_text import plain_text
from agent.server.wire.errors import MAX_SHOWN_CHARS, ApiError, invalid_field
from processors.stt.languages import read_language
from transports.sound_encoder import SoundKind

# OpenAI takes 4,096.
MAX_INPUT_CHARS = 20_000


def _name_of(voice: Any) -> Any:
    """OpenAI's custom voices come as an object."""
    return voice.get("id") if isinstance(voice, Mapping) else voice


class SpeechRequest(BaseModel):
    """The fields of one request.

    Attributes:
        text: What is to be spoken.
        language: Ours: what the text is in, where that is not the voice's own.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    text: Annotated[StrictStr, BeforeValidator(lambda text: plain_text(text) if isinstance(text, str) else text)] = (
        Field(alias="input", max_length=MAX_INPUT_CHARS)
    )
    voice: Annotated[StrictStr | None, BeforeValidator(_name_of)] = None
    response_format: SoundKind = "mp3"
    speed: Annotated[float, Field(strict=True, ge=SLOWEST, le=FASTEST, allow_inf_nan=False)] = 1.0
    stream_format: Literal["audio", "sse"] = "audio"
    language: StrictStr | None = None

    @property
    def wish(self) -> Wish:
        """How it is to be spoken."""
        return Wish(self.voice or None, self.language or None, self.speed)


def speech_request_of(body: Mapping[str, Any]) -> SpeechRequest:
    """Read a request; what is null counts as left out.

    Args:
        body: JSON.

    Raises:
        ApiError: A field is invalid; `param` names it.
    """
    given = {name: value for name, value in body.items() if value is not None}
    if "input" not in given:
        raise ApiError(400, "input is missing: the text that is to be spoken", param="input", code="missing_field")
    try:
        request = SpeechRequest.model_validate(given)
        if request.language:
            read_language(request.language[:MAX_SHOWN_CHARS])
    except ValidationError as error:
        raise invalid_field(error, without_value={"input"}) from None
    except ValueError as error:
        raise ApiError(400, f"language = {error}", param="language", code="invalid_value") from None
    if not request.text.strip():
        raise ApiError(400, "input has no words", param="input", code="invalid_value")
    return request
