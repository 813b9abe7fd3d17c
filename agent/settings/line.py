"""All settings as one line of JSON, secrets in the clear, for a process that this program starts; and back.

In:  settings.   Out: a line for a private pipe: never an argument or a variable, which others on the machine can read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from agent.settings.load import Settings


def settings_line(settings: Settings) -> bytes:
    """The settings as JSON that ends with a line break.

    Args:
        settings: With a persona, if there is one.
    """
    plain = settings.plain
    whole = {
        "settings": _clear(settings),
        "plain": None if plain is settings else _clear(plain),
        "config_file": _clear(settings.config_file),
        "plain_config_file": _clear(plain.config_file),
        "above": _clear(settings.above),
        "plain_above": _clear(plain.above),
    }
    return json.dumps(whole).encode() + b"\n"


def settings_of(line: bytes) -> Settings:
    """The settings of a line; the environment and every file are left alone.

    Args:
        line: From `settings_line`.

    Raises:
        ValueError: It is none.
    """
    whole = json.loads(line)
    settings = _read(whole["settings"], whole["config_file"], whole["above"])
    if whole["plain"] is not None:
        settings.instead_of(_read(whole["plain"], whole["plain_config_file"], whole["plain_above"]))
    return settings


def _read(values: dict[str, Any], config_file: str | None, above: dict[str, dict[str, Any]]) -> Settings:
    settings = Settings(_alone=True, **values)  # pyright: ignore[reportCallIssue]
    settings._config_file = Path(config_file) if config_file else None
    settings._above = {section: _typed(settings, section, named) for section, named in above.items()}
    return settings


def _typed(settings: Settings, section: str, named: dict[str, Any]) -> dict[str, Any]:
    """Values of a section as its fields have them."""
    kind = type(getattr(settings, section))
    own = getattr(settings, section)
    read = kind.model_validate({**{name: getattr(own, name) for name in own.model_fields_set}, **named})
    return {name: getattr(read, name) for name in named}


def _clear(value: Any) -> Any:
    """A value as JSON has it; of a section what was set, so that what was left out stays so."""
    if isinstance(value, BaseModel):
        return {
            name: _clear(getattr(value, name)) for name in type(value).model_fields if name in value.model_fields_set
        }
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {str(name): _clear(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clear(one) for one in value]
    return str(value) if isinstance(value, Path) else value
