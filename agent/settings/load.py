"""Settings: defaults < `sotto.toml` < `SOTTO_*` environment < flags, read once at start.

This is the only module that reads the environment; `agent` sets libraries' switches and NumPy's threads in it. Nested
keys are written `stt.engine` in flags, `[stt] engine = ...` in the file and `SOTTO_STT__ENGINE` in the environment.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import platformdirs
from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from agent.errors import SettingsError
from agent.settings.sections import (
    ComputeSettings,
    DialogueSettings,
    EchoSettings,
    InputSettings,
    LlmSettings,
    Section,
    ServerSettings,
    SttSettings,
    TtsSettings,
    TurnSettings,
    VadSettings,
)
from processors.shown_url import shown_url

ENV_PREFIX = "SOTTO_"
ENV_DELIMITER = "__"
CONFIG_NAME = "sotto.toml"
# Parts of keys whose values no message repeats.
SECRETS = ("api_key", "base_url", "server.token", "ice_servers")
# Of Hugging Face's tools and Ollama; `sotto models` heeds them, too.
OTHER_TOOLS_VARIABLES = (
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HUGGINGFACE_HUB_CACHE",
    "OLLAMA_MODELS",
    "XDG_CACHE_HOME",
)


class Settings(BaseSettings):
    """Every setting of sotto, immutable once read."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        env_ignore_empty=True,
    )

    compute: ComputeSettings = ComputeSettings()  # pyright: ignore[reportCallIssue]
    input: InputSettings = InputSettings()  # pyright: ignore[reportCallIssue]
    stt: SttSettings = SttSettings()  # pyright: ignore[reportCallIssue]
    llm: LlmSettings = LlmSettings()  # pyright: ignore[reportCallIssue]
    tts: TtsSettings = TtsSettings()  # pyright: ignore[reportCallIssue]
    vad: VadSettings = VadSettings()  # pyright: ignore[reportCallIssue]
    turn: TurnSettings = TurnSettings()  # pyright: ignore[reportCallIssue]
    dialogue: DialogueSettings = DialogueSettings()  # pyright: ignore[reportCallIssue]
    echo: EchoSettings = EchoSettings()  # pyright: ignore[reportCallIssue]
    server: ServerSettings = ServerSettings()  # pyright: ignore[reportCallIssue]
    models_dir: Path = Field(
        default_factory=lambda: data_folder() / "models",
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


def data_folder() -> Path:
    """Where sotto keeps what it makes for this user."""
    return platformdirs.user_data_path("sotto")


def cache_folder() -> Path:
    """Where sotto keeps for this user what can be found out again."""
    return platformdirs.user_cache_path("sotto")


def other_tools_environment() -> dict[str, str]:
    """What the environment says of other tools that keep models: their folders, the hub's mirror and token."""
    return {name: os.environ[name] for name in OTHER_TOOLS_VARIABLES if name in os.environ}


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
        if isinstance(section, type) and issubclass(section, Section):
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
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
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
    value = "" if any(part in key for part in SECRETS) else f" = {problem['input']!r}"
    return f"invalid setting in {source}: {key}{value}: {problem['msg'].removeprefix('Value error, ')}"


def public_values(settings: Settings) -> dict[str, Any]:
    """The settings as JSON values, secrets masked."""
    values = settings.model_dump(mode="json")
    for section in ("stt", "llm"):
        if values[section]["base_url"]:
            values[section]["base_url"] = shown_url(values[section]["base_url"])
    return values
