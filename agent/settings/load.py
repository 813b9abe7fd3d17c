"""Settings: defaults < `sotto.toml` < `SOTTO_*` environment < flags, read once at start.

This is the only module that reads the environment; `agent` sets libraries' switches and NumPy's threads in it. Nested
keys are written `stt.engine` in flags, `[stt] engine = ...` in the file and `SOTTO_STT__ENGINE` in the environment.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import platformdirs
from pydantic import Field, PrivateAttr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from agent.errors import SettingsError
from agent.settings.addresses import AddressesSettings
from agent.settings.home import HomeSettings
from agent.settings.interpreter import InterpreterSettings
from agent.settings.mcp import McpSettings
from agent.settings.observing import MetricsSettings, TelemetrySettings
from agent.settings.section import Section, without_nul
from agent.settings.sections import (
    ComputeSettings,
    DialogueSettings,
    EchoSettings,
    InputSettings,
    LargeSettings,
    LlmSettings,
    MemorySettings,
    PersonaSettings,
    SttSettings,
    TimersSettings,
    ToolsSettings,
    TtsSettings,
    TurnSettings,
    VadSettings,
)
from agent.settings.serving import ServerSettings
from agent.settings.telephony import TelephonySettings
from agent.settings.wake import WakeSettings
from agent.small_files import is_file, small_text
from processors.address import addresses_in
from processors.shown_url import shown_url

ENV_PREFIX = "SOTTO_"
ENV_DELIMITER = "__"
CONFIG_NAME = "sotto.toml"
MAX_SHOWN_CHARS = 120
# What pydantic finds wrong with a number.
OF_NUMBERS = ("greater_than", "less_than", "int_", "float_", "finite_number")
# Parts of keys whose values no message repeats.
SECRETS = ("api_key", "base_url", "server.token", "ice_servers", "mcp.servers", "home", "telephony.lines")
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
    large: LargeSettings = LargeSettings()  # pyright: ignore[reportCallIssue]
    tts: TtsSettings = TtsSettings()  # pyright: ignore[reportCallIssue]
    addresses: AddressesSettings = AddressesSettings()  # pyright: ignore[reportCallIssue]
    wake: WakeSettings = WakeSettings()  # pyright: ignore[reportCallIssue]
    vad: VadSettings = VadSettings()  # pyright: ignore[reportCallIssue]
    turn: TurnSettings = TurnSettings()  # pyright: ignore[reportCallIssue]
    dialogue: DialogueSettings = DialogueSettings()  # pyright: ignore[reportCallIssue]
    tools: ToolsSettings = ToolsSettings()  # pyright: ignore[reportCallIssue]
    timers: TimersSettings = TimersSettings()  # pyright: ignore[reportCallIssue]
    interpreter: InterpreterSettings = InterpreterSettings()  # pyright: ignore[reportCallIssue]
    memory: MemorySettings = MemorySettings()  # pyright: ignore[reportCallIssue]
    home: HomeSettings = HomeSettings()  # pyright: ignore[reportCallIssue]
    mcp: McpSettings = McpSettings()  # pyright: ignore[reportCallIssue]
    persona: PersonaSettings = PersonaSettings()  # pyright: ignore[reportCallIssue]
    echo: EchoSettings = EchoSettings()  # pyright: ignore[reportCallIssue]
    server: ServerSettings = ServerSettings()  # pyright: ignore[reportCallIssue]
    metrics: MetricsSettings = MetricsSettings()  # pyright: ignore[reportCallIssue]
    telemetry: TelemetrySettings = TelemetrySettings()  # pyright: ignore[reportCallIssue]
    telephony: TelephonySettings = TelephonySettings()  # pyright: ignore[reportCallIssue]
    models_dir: Path = Field(
        default_factory=lambda: data_folder() / "models",
        description="where `sotto models pull` puts models and the engines look for them",
    )
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    _is_text = field_validator("models_dir", mode="before")(without_nul)
    _config_file: Path | None = PrivateAttr(None)
    _plain: "Settings | None" = PrivateAttr(None)
    _above: Mapping[str, Mapping[str, Any]] = PrivateAttr(default_factory=dict)

    @property
    def config_file(self) -> Path | None:
        """The configuration file that was read, if there was one; absolute."""
        return self._config_file

    @property
    def plain(self) -> "Settings":
        """The same without a persona."""
        return self._plain or self

    @property
    def above(self) -> Mapping[str, Mapping[str, Any]]:
        """By section and name: what flags and the environment say, which no persona changes."""
        return self._above

    def instead_of(self, plain: "Settings") -> "Settings":
        """The same, as what a persona makes of plain settings."""
        self._plain = plain
        return self

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
        alone = flags.pop("_alone", False)
        named = InitSettingsSource(settings_cls, init_kwargs=flags)
        file = InitSettingsSource(settings_cls, init_kwargs=file_values)
        return (named, file) if alone else (named, EnvSettingsSource(settings_cls), file)


def data_folder() -> Path:
    """Where sotto keeps what it makes for this user."""
    return platformdirs.user_data_path("sotto")


def personas_folder(settings: "Settings") -> Path:
    """Where this user's own personas are: beside the configuration file in use, unless a setting says where."""
    if settings.persona.folder:
        return settings.persona.folder
    beside = settings.config_file.parent if settings.config_file else platformdirs.user_config_path("sotto")
    return beside / "personas"


def cache_folder() -> Path:
    """Where sotto keeps for this user what can be found out again."""
    return platformdirs.user_cache_path("sotto")


def other_tools_environment() -> dict[str, str]:
    """What the environment says of other tools that keep models: their folders, the hub's mirror and token."""
    return {name: os.environ[name] for name in OTHER_TOOLS_VARIABLES if name in os.environ}


def whole_environment() -> dict[str, str]:
    """Every variable, for a program that is started in place of the user."""
    return dict(os.environ)


def config_path(explicit: Path | None = None) -> Path | None:
    """The configuration file in use: the one named, else ./sotto.toml, else the user's own, else none.

    Raises:
        SettingsError: The named file does not exist.
    """
    if explicit is not None:
        if not is_file(explicit):
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
    alone: bool = False,
) -> Settings:
    """Read the settings from every source.

    Args:
        overrides: Flags as dotted keys, such as `{"stt.engine": "whisper"}`; None values are left out.
        config: A configuration file in place of the usual ones.
        alone: Flags and the configuration file that is named count, and nothing of this user's: neither the environment
            nor the usual files.

    Raises:
        SettingsError: A key is unknown or a value invalid; the message names the key and its source.
    """
    path = None if alone and config is None else config_path(config)
    file_values = _read_toml(path) if path else {}
    flags: dict[str, Any] = {}
    for key, value in (overrides or {}).items():
        if value is not None:
            _set_dotted(flags, key, value)
    for key in () if alone else _unknown_environment_keys():
        raise SettingsError(f"unknown setting in the environment: {key} (`sotto doctor` lists every setting)")
    try:
        settings = Settings(_file=file_values, _alone=alone, **flags)  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        raise SettingsError(_first_problem(error, flags, file_values, path)) from error
    if settings.large.api_key and not settings.large.is_set:
        source = _source_of(("large", "api_key"), flags, file_values, path)
        reason = "there is no large model: set large.model or large.base_url, too"
        raise SettingsError(f"invalid setting in {source}: large.api_key: {reason}")
    settings._config_file = path and path.absolute()
    settings._above = _values_at(settings, [*_dotted(flags), *(() if alone else _environment_keys())])
    return settings


def without_effect(settings: Settings) -> Iterator[str]:
    """What is set and does nothing for now, one line each.

    Args:
        settings: With a persona, if there is one.
    """
    folder = settings.persona.knowledge
    if folder and not folder.is_dir():
        yield f"persona.knowledge = {folder}: there is no such folder; until it is made, nothing is found in it"
    if settings.wake.words and settings.turn.mode == "push_to_talk":
        yield "wake.words: with turn.mode = push_to_talk the key alone wakes the agent"


def _dotted(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield from _dotted(value, f"{before}{name}.") if isinstance(value, Mapping) else [f"{before}{name}"]


def _values_at(settings: Settings, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    values: dict[str, dict[str, Any]] = {}
    for key in keys:
        section, _, name = key.partition(".")
        if name and hasattr(getattr(settings, section), name):
            values.setdefault(section, {})[name] = getattr(getattr(settings, section), name)
    return values


def _environment_keys() -> list[str]:
    named = {ENV_PREFIX + key.replace(".", ENV_DELIMITER).upper(): key for key in setting_keys()}
    return [named[key.upper()] for key in os.environ if key.upper() in named and os.environ[key]]


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
        yield key, public_url(value) if key.endswith("url") and value else _as_text(value)


def _as_text(value: Any) -> str:
    """A value as a reader knows it; a table as JSON, with what stands in it alone."""
    if not isinstance(value, Mapping):
        return str(value)
    shown = {
        name: one.model_dump(mode="json", exclude_unset=True) if isinstance(one, Section) else one
        for name, one in value.items()
    }
    for one in shown.values():
        if isinstance(one, dict) and isinstance(one.get("url"), str):
            one["url"] = public_url(one["url"])
    return json.dumps(shown, ensure_ascii=False, default=str)


def public_url(url: str) -> str:
    """An address, or several, without login, and without what stands behind it, which may be a key.

    Args:
        url: Any.
    """
    return ",".join(re.split("[?#]", shown_url(one))[0] for one in addresses_in(url))


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(small_text(path))
    except RecursionError:
        raise SettingsError(f"{path} cannot be read: it is nested too deep") from None
    # A ValueError is wrong TOML, wrong UTF-8, or a number of very many digits.
    except (OSError, ValueError) as error:
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
    place = problem["loc"][:-1] if problem["type"] == "missing" else problem["loc"]
    source = _source_of(place, flags, file_values, path)
    if problem["type"] == "extra_forbidden":
        return f"unknown setting in {source}: {key} (`sotto doctor` lists every setting)"
    named = f"{key}{_shown(key, problem)}"
    return f"invalid setting in {source}: {named}: {problem['msg'].removeprefix('Value error, ')}"


def _shown(key: str, problem: ErrorDetails) -> str:
    """What a setting was to be, as far as that may be shown: no secret, and no section, which may hold some."""
    value = problem["input"]
    if isinstance(value, Mapping | Section):
        return ""
    if key.endswith("url") and isinstance(value, str):
        value = public_url(value)
    elif any(part in key for part in SECRETS) and not problem["type"].startswith(OF_NUMBERS):
        return ""
    return f" = {repr(value)[:MAX_SHOWN_CHARS]}"


def _source_of(
    place: Sequence[int | str], flags: Mapping[str, Any], file_values: Mapping[str, Any], path: Path | None
) -> str:
    for name, values in (("a flag", flags), (str(path), file_values)):
        if _holds(values, place):
            return name
    return "the environment"


def _holds(values: Any, place: Sequence[int | str]) -> bool:
    """Whether something stands at a place; a text may have been split into what the rest of the place means."""
    for part in place:
        if not isinstance(values, list | Mapping):
            return True
        inner: Mapping[Any, Any] = dict(enumerate(values)) if isinstance(values, list) else values
        if part not in inner:
            return False
        values = inner[part]
    return True


def public_values(settings: Settings) -> dict[str, Any]:
    """The settings as JSON values, secrets masked."""
    values = settings.model_dump(mode="json")
    for section in ("stt", "llm", "large", "tts"):
        if values[section]["base_url"]:
            values[section]["base_url"] = public_url(values[section]["base_url"])
    for server in values["mcp"]["servers"].values():
        server["url"] = server["url"] and public_url(server["url"])
    return values
