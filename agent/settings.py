"""Settings: defaults < `sotto.toml` < `SOTTO_*` environment < flags, read once at start.

This is the only module that reads the environment. Nested keys are written `stt.engine` in flags,
`[stt] engine = ...` in the file and `SOTTO_STT__ENGINE` in the environment.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from agent.errors import SettingsError
from processors.shown_url import shown_url
from processors.stt.recognizer import Task

ENV_PREFIX = "SOTTO_"
ENV_DELIMITER = "__"
CONFIG_NAME = "sotto.toml"

SttEngine = Literal["auto", "openai", "nemotron", "whisper", "pocketsphinx", "foundry"]
LlmEngine = Literal["auto", "endpoint", "ollama", "vllm", "llamacpp", "lmstudio", "embedded"]
TtsEngine = Literal["auto", "kokoro", "espeak"]


def _split_at_commas(value: Any) -> Any:
    """One text from a flag or the environment as a list; lists from a file stay."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SttSettings(_Section):
    """Speech to text."""

    engine: SttEngine = Field("auto", description="which recognizer; auto takes the best that is usable")
    model: str | None = Field(None, description="model name or directory; default: the best installed one")
    language: str = Field("en", description="ISO 639-1 code, or auto where the model detects it")
    task: Task = Field("transcribe", description="translate: all is written in English (whisper, openai)")
    prompt: str | None = Field(None, description="text that sets names, spelling and style (whisper, openai)")
    hotwords: Annotated[list[str], NoDecode, BeforeValidator(_split_at_commas)] = Field(
        default_factory=list, description="words to listen for, with commas between (whisper, nemotron where it allows)"
    )
    chunk_ms: Literal[80, 160, 320, 560, 1120] | None = Field(
        None, description="which export of nemotron: short chunks are quicker, long ones hear better"
    )
    base_url: str | None = Field(
        None, description="OpenAI-compatible speech-to-text server, such as http://box:8000/v1"
    )
    api_key: SecretStr | None = Field(None, description="bearer token of that server, if it wants one")
    timeout_secs: float = Field(10.0, gt=0, le=600, description="that server is given up after this")
    threads: int = Field(0, ge=0, le=64, description="CPU threads of one decoding; 0: half of the cores")
    partial_interval_secs: float = Field(
        0.5, ge=0.1, le=10, description="how often whisper decodes while the user speaks, at most"
    )
    no_speech_threshold: float = Field(0.6, ge=0, le=1, description="whisper: above this it may not have been speech")
    log_probability_threshold: float = Field(
        -1.0, ge=-10, le=0, description="whisper: below this average a text that may be no speech is dropped"
    )
    compression_ratio_threshold: float = Field(
        2.4, ge=1, le=10, description="whisper: above this a text repeats itself and is dropped"
    )
    phantom_level_dbfs: float = Field(
        -50.0, ge=-100, le=0, description="whisper: below this level known phantom phrases are dropped"
    )
    max_utterance_secs: float = Field(60.0, gt=1, le=600, description="a longer stretch of speech is cut in two")


class LlmSettings(_Section):
    """The language model."""

    engine: LlmEngine = Field("auto", description="which server; auto takes the best that is usable")
    base_url: str | None = Field(None, description="OpenAI-compatible endpoint, such as http://127.0.0.1:11434/v1")
    api_key: SecretStr | None = Field(None, description="bearer token of the endpoint, if it wants one")
    model: str | None = Field(None, description="model name at the endpoint, or a GGUF name or file for embedded")
    system_prompt: str = Field(
        "You are a friendly voice assistant. Your words are spoken aloud: answer in one to three short "
        "sentences of plain speech, without lists, markdown, emoji or code unless you are asked for them.",
        description="what the agent is told about itself",
    )
    temperature: float = Field(0.7, ge=0, le=2)
    top_p: float = Field(0.95, gt=0, le=1)
    max_tokens: int = Field(512, ge=1, le=32768, description="upper limit of one answer")
    first_token_timeout_secs: float = Field(15.0, gt=0, description="a silent endpoint is given up after this")
    token_stall_timeout_secs: float = Field(10.0, gt=0, description="a reply that stops is given up after this")
    thinking: bool = Field(
        False, description="let a reasoning model think before it answers; its thoughts are never spoken"
    )
    empty_retries: int = Field(1, ge=0, le=5, description="how often an empty reply is asked for again")
    apology: str = Field(
        "Sorry, I can't think right now. Please try again in a moment.",
        description="said when the endpoint is down or slow",
    )
    threads: int = Field(0, ge=0, le=64, description="CPU threads of the embedded model; 0: half of the cores")


class TtsSettings(_Section):
    """Text to speech."""

    engine: TtsEngine = Field("auto", description="which synthesizer; auto takes the best that is usable")
    model: str | None = Field(None, description="model name or directory; default: the best installed one")
    voice: str | None = Field(None, description="voice name; default: the engine's own")
    language: str = Field("en-us", description="language of the voice, such as en-us or es")
    speed: float = Field(1.0, ge=0.5, le=2.0, description="1 is the voice's natural pace")


class VadSettings(_Section):
    """Voice activity detection."""

    confidence: float = Field(0.7, ge=0, le=1, description="speech probability that counts as speech")
    start_secs: float = Field(0.2, ge=0.03, le=2, description="speech this long starts an utterance")
    stop_secs: float = Field(0.2, ge=0.03, le=3, description="silence this long ends an utterance")
    min_volume: float = Field(0.3, ge=0, le=1, description="loudness (EBU R128, scaled) that counts as speech")


class TurnSettings(_Section):
    """Deciding that the user's turn is over."""

    max_pause_secs: float = Field(
        1.6, ge=0.2, le=10, description="a pause this long ends the turn even if the model expects more"
    )


class InputSettings(_Section):
    """The user's sound before anything listens to it."""

    auto_gain: bool = Field(True, description="raise a quiet microphone for the ears; nothing is ever clipped")
    target_dbfs: float = Field(-20.0, ge=-40, le=-6, description="level (RMS) that speech is raised to")
    max_gain_db: float = Field(30.0, ge=0, le=40, description="the most that it is raised by")


class ServerSettings(_Section):
    """`sotto serve`."""

    host: str = "127.0.0.1"
    port: int = Field(7860, ge=0, le=65535, description="0 takes a free port")
    max_sessions: int = Field(4, ge=1, le=64, description="one more caller is told that the agent is busy")
    allowed_hosts: Annotated[list[str], NoDecode, BeforeValidator(_split_at_commas)] = Field(
        default_factory=list, description="further host names that the page may be opened under, with commas between"
    )
    api_key: SecretStr | None = Field(None, description="bearer token that the HTTP API (/v1/...) asks for, if any")
    max_upload_mb: float = Field(100.0, gt=0, le=4096, description="a larger sound file is refused")
    max_audio_secs: float = Field(7200.0, gt=0, le=86400, description="a longer sound file is refused")
    max_transcriptions: int = Field(8, ge=1, le=256, description="one more request at a time is told to come back")


class Settings(BaseSettings):
    """Every setting of sotto, immutable once read."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        env_ignore_empty=True,
    )

    input: InputSettings = InputSettings()  # pyright: ignore[reportCallIssue]
    stt: SttSettings = SttSettings()  # pyright: ignore[reportCallIssue]
    llm: LlmSettings = LlmSettings()  # pyright: ignore[reportCallIssue]
    tts: TtsSettings = TtsSettings()  # pyright: ignore[reportCallIssue]
    vad: VadSettings = VadSettings()  # pyright: ignore[reportCallIssue]
    turn: TurnSettings = TurnSettings()  # pyright: ignore[reportCallIssue]
    server: ServerSettings = ServerSettings()  # pyright: ignore[reportCallIssue]
    models_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("sotto") / "models",
        description="where `sotto models pull` puts models and the engines look for them",
    )
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags first, then the environment, then the file that `load_settings` read."""
        flags = cast(InitSettingsSource, init_settings).init_kwargs
        file_values = flags.pop("_file", {})
        return (
            InitSettingsSource(settings_cls, init_kwargs=flags),
            EnvSettingsSource(settings_cls),
            InitSettingsSource(settings_cls, init_kwargs=file_values),
        )


def config_path(explicit: Path | None = None) -> Path | None:
    """The configuration file in use: the one named, else ./sotto.toml, else the user's own, else none.

    Raises:
        SettingsError: The named file does not exist.
    """
    if explicit is not None:
        if not explicit.is_file():
            raise SettingsError(f"configuration file not found: {explicit}")
        return explicit
    for path in (Path(CONFIG_NAME), platformdirs.user_config_path("sotto") / CONFIG_NAME):
        if path.is_file():
            return path
    return None


def load_settings(
    overrides: Mapping[str, Any] | None = None,
    *,
    config: Path | None = None,
) -> Settings:
    """Read the settings from every source.

    Args:
        overrides: Flags as dotted keys, such as `{"stt.engine": "whisper"}`; None values are left out.
        config: A configuration file in place of the usual ones.

    Raises:
        SettingsError: A key is unknown or a value invalid; the message names the key and its source.
    """
    path = config_path(config)
    file_values = _read_toml(path) if path else {}
    flags: dict[str, Any] = {}
    for key, value in (overrides or {}).items():
        if value is not None:
            _set_dotted(flags, key, value)
    for key in _unknown_environment_keys():
        raise SettingsError(f"unknown setting in the environment: {key} (`sotto doctor` lists every setting)")
    try:
        return Settings(_file=file_values, **flags)  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        raise SettingsError(_first_problem(error, flags, file_values, path)) from error


def setting_keys() -> dict[str, tuple[Any, str]]:
    """Every dotted key with its annotation and description, in order."""
    keys: dict[str, tuple[Any, str]] = {}
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, _Section):
            for inner, inner_field in section.model_fields.items():
                keys[f"{name}.{inner}"] = (inner_field.annotation, inner_field.description or "")
        else:
            keys[name] = (field.annotation, field.description or "")
    return keys


def effective_values(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every dotted key with its value as text; secrets are masked."""
    for key in setting_keys():
        value: Any = settings
        for part in key.split("."):
            value = getattr(value, part)
        yield key, shown_url(value) if key.endswith(".base_url") and value else str(value)


def parse_assignment(text: str) -> tuple[str, str]:
    """Split a `--set key=value` argument.

    Raises:
        SettingsError: There is no `=`, or the key is unknown.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"--set {text}: expected key=value, such as --set stt.language=en")
    if key not in setting_keys():
        raise SettingsError(f"unknown setting: {key} (`sotto doctor` lists every setting)")
    return key, value


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error


def _set_dotted(target: dict[str, Any], key: str, value: Any) -> None:
    *sections, leaf = key.split(".")
    for section in sections:
        target = target.setdefault(section, {})
    target[leaf] = value


def _unknown_environment_keys() -> list[str]:
    known = {ENV_PREFIX + key.replace(".", ENV_DELIMITER).upper() for key in setting_keys()}
    return sorted(key for key in os.environ if key.upper().startswith(ENV_PREFIX) and key.upper() not in known)


def _first_problem(
    error: ValidationError, flags: Mapping[str, Any], file_values: Mapping[str, Any], path: Path | None
) -> str:
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    source = "the environment"
    for name, values in (("a flag", flags), (str(path), file_values)):
        inner: Any = values
        for part in problem["loc"]:
            inner = inner.get(part, ...) if isinstance(inner, Mapping) else ...
        if inner is not ...:
            source = name
            break
    if problem["type"] == "extra_forbidden":
        return f"unknown setting in {source}: {key} (`sotto doctor` lists every setting)"
    value = "" if "api_key" in key or "base_url" in key else f" = {problem['input']!r}"
    return f"invalid setting in {source}: {key}{value}: {problem['msg']}"


def public_values(settings: Settings) -> dict[str, Any]:
    """The settings as JSON values, secrets masked."""
    values = settings.model_dump(mode="json")
    for section in ("stt", "llm"):
        if values[section]["base_url"]:
            values[section]["base_url"] = shown_url(values[section]["base_url"])
    return values
