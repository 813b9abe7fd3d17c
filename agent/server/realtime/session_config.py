"""What a client may say about its session: read, compared with what can be served, and told again.

In:  `session` of `session.update` or of a client secret.   Out: a SessionConfig, or a RealtimeProblem that names
the field.

Objects are merged deeply, an explicit null is a value, unknown fields are ignored. Fields that are known and cannot be
served are no silent loss: they are a problem.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from agent.server.realtime.problems import RealtimeProblem
from agent.tools.results import as_json
from processors.manner import SLOWEST

MAX_INSTRUCTION_CHARS = 64_000
MAX_TOOLS = 128
MAX_SESSION_CHARS = 256_000
PCM_RATE_HZ = 24_000
MAX_NAME_CHARS = 64
FUNCTION_NAME = r"^[\w.-]+$"
# Known to the protocol, and beyond what this server does: all but these values.
UNSERVED: dict[str, tuple[Any, ...]] = {
    "prompt": (None,),
    "tracing": (None, "auto"),
    "include": (None, []),
    "truncation": (None, "auto"),
    "audio.input.noise_reduction": (None,),
    "audio.input.transcription.prompt": (None, ""),
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Pcm(_Part):
    """24 kHz mono s16le."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24000


class Pcmu(_Part):
    """8 kHz G.711 µ-law."""

    type: Literal["audio/pcmu"]


class Pcma(_Part):
    """8 kHz G.711 A-law."""

    type: Literal["audio/pcma"]


Format = Annotated[Pcm | Pcmu | Pcma, Field(discriminator="type")]


class ServerVad(_Part):
    """Silence ends the turn."""

    type: Literal["server_vad"]
    threshold: float = Field(default=0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(default=300, ge=0, le=5_000)
    silence_duration_ms: int = Field(default=500, ge=100, le=10_000)
    create_response: bool = True
    interrupt_response: Literal[True] = True
    idle_timeout_ms: int | None = Field(default=None, ge=5_000, le=30_000)


class SemanticVad(_Part):
    """What was said, and how, ends the turn: this server's own way."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: Literal[True] = True
    # The protocol has it with `server_vad` alone.
    idle_timeout_ms: None = Field(default=None, exclude=True)


class Transcription(_Part):
    """What the client is told of what was heard."""

    model: str | None = Field(default=None, max_length=200)
    language: str | None = Field(default=None, max_length=40)


class Input(_Part):
    """The user's sound."""

    format: Format = Pcm()
    transcription: Transcription | None = None
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] | None = SemanticVad(
        type="semantic_vad"
    )


class CustomVoice(_Part):
    """A voice by its id."""

    id: str = Field(max_length=200)


class Output(_Part):
    """The agent's sound."""

    format: Format = Pcm()
    voice: Annotated[str, Field(max_length=200)] | CustomVoice | None = None
    # The protocol goes down to 0.25, and no engine does.
    speed: float = Field(default=1.0, ge=SLOWEST, le=1.5)


class Audio(_Part):
    """Both ways."""

    input: Input = Input()
    output: Output = Output()


class FunctionTool(_Part):
    """A function of the client's."""

    type: Literal["function"]
    name: str = Field(min_length=1, max_length=MAX_NAME_CHARS, pattern=FUNCTION_NAME)
    description: str | None = Field(default=None, max_length=8_000)
    parameters: dict[str, Any] | None = None

    @field_validator("parameters")
    @classmethod
    def _is_text(cls, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            as_json(parameters).encode()
        except UnicodeEncodeError as error:
            raise ValueError("there is half a character in it") from error
        return parameters


class SessionConfig(_Part):
    """A session as its client wants it.

    Attributes:
        tool_choice: `none`: the model is told of no tools.
    """

    type: Literal["realtime", "transcription"] = "realtime"
    model: str = Field(default="sotto", max_length=200)
    instructions: str = Field(default="", max_length=MAX_INSTRUCTION_CHARS)
    output_modalities: list[Literal["audio", "text"]] = Field(default=["audio"], min_length=1, max_length=1)
    audio: Audio = Audio()
    tools: list[FunctionTool] = Field(default=[], max_length=MAX_TOOLS)
    tool_choice: Literal["auto", "none"] = "auto"
    max_output_tokens: Literal["inf"] | Annotated[int, Field(ge=1, le=4096)] = "inf"

    @field_validator("tools")
    @classmethod
    def _names_differ(cls, tools: list[FunctionTool]) -> list[FunctionTool]:
        names = [tool.name for tool in tools]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"there are two tools called {sorted(twice)[0]}")
        return tools

    @property
    def is_written(self) -> bool:
        """Whether answers are text."""
        return self.output_modalities == ["text"]

    @property
    def voice(self) -> str | None:
        """The voice's name; None: the server's own."""
        voice = self.audio.output.voice
        return voice.id if isinstance(voice, CustomVoice) else voice

    def told(self) -> dict[str, Any]:
        """As the client is told it."""
        told = self.model_dump(mode="json")
        if self.type == "transcription":
            return {"type": "transcription", "audio": {"input": told["audio"]["input"]}}
        return told


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Objects within objects merged; whatever else is given, null too, takes the place of what was there."""
    result = dict(base)
    for key, value in changes.items():
        earlier = result.get(key)
        result[key] = value
        if isinstance(value, Mapping) and isinstance(earlier, Mapping):
            # Another kind of turn detection or format has other fields.
            is_same_kind = value.get("type", earlier.get("type")) == earlier.get("type")
            result[key] = merged(earlier, value) if is_same_kind else value
    return result


def changed(config: SessionConfig, changes: object, param: str = "session") -> SessionConfig:
    """The session with a client's changes.

    Args:
        config: As it is.
        changes: What the client sent, anything at all.
        param: What errors call it.

    Raises:
        RealtimeProblem: It is no object, a value is wrong, or cannot be served; the field is named.
    """
    if not isinstance(changes, Mapping):
        raise RealtimeProblem(f"{param} must be an object", param=param)
    if len(str(changes)) > MAX_SESSION_CHARS:
        raise RealtimeProblem(f"{param} is longer than {MAX_SESSION_CHARS} characters", param=param)
    if (kind := changes.get("type", config.type)) != config.type:
        raise RealtimeProblem(
            f"{param}.type is {config.type}, and cannot become {str(kind)[:40]!r}", param="session.type"
        )
    _check_served(changes, param)
    try:
        return SessionConfig.model_validate(_without_nulls(merged(config.model_dump(), changes)))
    except ValidationError as error:
        raise _problem_of(error, param) from error


def asked_for(config: SessionConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What of a client's changes was read, as it was read; nothing of what was ignored.

    Args:
        config: With the changes.
        changes: Which are valid.
    """
    return _common(config.model_dump(), changes)


def _common(read: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _common(value, changes[key]) if isinstance(value, Mapping) and isinstance(changes[key], Mapping) else value
        for key, value in read.items()
        if key in changes
    }


def _without_nulls(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A null where there is a default asks for that; turn detection and transcription are switched off by it."""
    return {
        key: _without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in wanted.items()
        if value is not None or key in NULLABLE
    }


NULLABLE = ("turn_detection", "transcription", "voice", "idle_timeout_ms")


def _check_served(changes: Mapping[str, Any], param: str) -> None:
    for path, served in UNSERVED.items():
        at: Any = changes
        for key in path.split("."):
            at = at.get(key) if isinstance(at, Mapping) else None
        if at not in served:
            raise RealtimeProblem(
                f"{param}.{path} = {str(at)[:60]!r} cannot be served here",
                code="unsupported_value",
                param=f"{param}.{path}",
            )


def _problem_of(error: ValidationError, param: str) -> RealtimeProblem:
    problem = error.errors(include_url=False)[0]
    path = ".".join([param, *(str(key) for key in problem["loc"] if key not in TAGS)])
    shown = "" if isinstance(problem["input"], dict | list) else f" = {str(problem['input'])[:60]!r}"
    return RealtimeProblem(f"{path}{shown}: {problem['msg'].removeprefix('Value error, ')}", param=path)


# Pydantic's own steps between the fields.
TAGS = (
    *("server_vad", "semantic_vad", "audio/pcm", "audio/pcmu", "audio/pcma"),
    *("constrained-str", "CustomVoice", "constrained-int", "literal['inf']"),
)
