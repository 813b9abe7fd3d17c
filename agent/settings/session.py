"""What one conversation may have its own way: the settings that a page can choose, checked against the rest.

In:  dotted keys with JSON values, as the page sends them.   Out: the settings of that conversation.

Where sound and words go (addresses, keys, files, limits) stays with whoever runs the server.
"""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from agent.errors import SottoError
from agent.plain_text import plain_text
from agent.settings.load import Settings

SESSION_KEYS = (
    "stt.engine",
    "stt.language",
    "llm.engine",
    "llm.system_prompt",
    "tts.engine",
    "tts.voice",
    "tts.language",
    "tts.speed",
    "turn.mode",
    "turn.barge_in",
    "turn.pace",
    "turn.speculate",
    "dialogue.filler",
)
MAX_TEXT_CHARS = 8_000


class OptionError(SottoError):
    """A conversation was asked for with an option that it cannot have; the message names the key."""


def session_settings(settings: Settings, options: object) -> Settings:
    """The settings of one conversation.

    Args:
        settings: The server's.
        options: A mapping of dotted keys to values; None stands for none.

    Raises:
        OptionError: It is no mapping, a key may not be chosen, or a value is invalid.
    """
    if options is None:
        return settings
    if not isinstance(options, Mapping):
        raise OptionError('options must be an object of settings, such as {"tts.speed": 1.2}')
    sections: dict[str, dict[str, Any]] = {}
    for key, value in options.items():
        if key not in SESSION_KEYS:
            raise OptionError(f"{str(key)[:60]!r} cannot be chosen for a conversation (see /api/options)")
        if isinstance(value, str) and len(value) > MAX_TEXT_CHARS:
            raise OptionError(f"{key} is longer than {MAX_TEXT_CHARS} characters")
        if isinstance(value, str) and value != plain_text(value):
            raise OptionError(f"{key} holds characters that are no text")
        section, name = key.split(".")
        sections.setdefault(section, {})[name] = value
    return settings.model_copy(update={name: _changed(settings, name, values) for name, values in sections.items()})


def describe_options(settings: Settings) -> dict[str, dict[str, Any]]:
    """What may be chosen, and what it is without a choice.

    Args:
        settings: The server's.

    Returns:
        By dotted key: value, default, description, choices (None where any text or number will do), min and max.
    """
    return {key: _described(settings, *key.split(".")) for key in SESSION_KEYS}


def _changed(settings: Settings, name: str, values: Mapping[str, Any]) -> BaseModel:
    section: BaseModel = getattr(settings, name)
    try:
        return type(section).model_validate({**section.model_dump(), **values})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join([name, *map(str, problem["loc"])])
        value = "" if not problem["loc"] else f" = {str(problem['input'])[:60]!r}"
        raise OptionError(f"invalid option {key}{value}: {problem['msg'].removeprefix('Value error, ')}") from error


def _described(settings: Settings, section_name: str, name: str) -> dict[str, Any]:
    section = getattr(settings, section_name)
    field = type(section).model_fields[name]
    value = getattr(section, name)
    # Literals name their choices; a switch has two.
    choices = [True, False] if field.annotation is bool else list(get_args(field.annotation)) or None
    if choices and type(None) in choices:
        choices = None
    bounds = {bound: getattr(one, sign) for one in field.metadata for bound, sign in BOUNDS if hasattr(one, sign)}
    return {
        "value": value,
        "default": field.get_default(),
        "description": field.description or "",
        "choices": choices,
        "min": bounds.get("min"),
        "max": bounds.get("max"),
    }


BOUNDS = (("min", "ge"), ("min", "gt"), ("max", "le"), ("max", "lt"))
