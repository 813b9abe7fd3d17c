"""What one conversation may have its own way: the settings that a page can choose, checked against the rest.

In:  dotted keys with JSON values, as the page sends them.   Out: the settings of that conversation.

Where sound and words go (addresses, keys, files, limits) stays with whoever runs the server, and so does what the agent
may do: a page allows its conversation less, by an option or by a persona, never more.
"""

import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from agent.errors import SottoError
from agent.plain_text import plain_text
from agent.settings.in_persona import with_persona
from agent.settings.load import Settings, personas_folder
from agent.settings.persona import PersonaError, persona_files
from agent.settings.sections import PERMISSIONS

SESSION_KEYS = (
    "persona.name",
    "interpreter.languages",
    "stt.engine",
    "stt.model",
    "stt.language",
    "llm.engine",
    "llm.model",
    "llm.system_prompt",
    "tts.engine",
    "tts.model",
    "tts.voice",
    "tts.language",
    "tts.speed",
    "turn.mode",
    "turn.barge_in",
    "turn.pace",
    "turn.speculate",
    "dialogue.filler",
    "tools.clock",
    "tools.sums",
    "tools.timers",
    "tools.files",
    "tools.memory",
    "tools.knowledge",
    "tools.camera",
)
# Models by the name of the catalogue: a path or a server's model is for whoever runs the server to name.
MODEL_KEYS = ("stt.model", "llm.model", "tts.model")
_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9.\-]{0,63}")
# A conversation may be allowed less than the server allows, never more.
STRICTER = ("on", "ask", "off")
MAX_TEXT_CHARS = 8_000


class OptionError(SottoError):
    """A conversation was asked for with an option that it cannot have; the message names the key."""


def always_awake(settings: Settings) -> Settings:
    """The same for who has called already, and need not wake anybody."""
    return settings.model_copy(update={"wake": settings.wake.model_copy(update={"words": []})})


def session_settings(settings: Settings, options: object) -> Settings:
    """The settings of one conversation.

    Args:
        settings: The server's.
        options: A mapping of dotted keys to values; None stands for none.

    Raises:
        OptionError: It is no mapping, a key may not be chosen, or a value is invalid.
    """
    if not isinstance(options, Mapping | None):
        raise OptionError('options must be an object of settings, such as {"tts.speed": 1.2}')
    options = dict(options or {})
    allowed = _own(settings)
    settings = _persona_of(settings, options.pop("persona.name", None), allowed)
    sections: dict[str, dict[str, Any]] = {}
    for key, value in options.items():
        if key not in SESSION_KEYS:
            raise OptionError(f"{str(key)[:60]!r} cannot be chosen for a conversation (see /api/options)")
        if isinstance(value, str) and len(value) > MAX_TEXT_CHARS:
            raise OptionError(f"{key} is longer than {MAX_TEXT_CHARS} characters")
        if isinstance(value, str) and value != plain_text(value):
            raise OptionError(f"{key} holds characters that are no text")
        if key in MODEL_KEYS and value is not None and not _MODEL_NAME.fullmatch(str(value)):
            raise OptionError(f"{key} = {str(value)[:60]!r} is no name of `sotto models list`")
        section, name = key.split(".")
        if section == "tools":
            _check_permission(key, value, getattr(allowed.tools, name))
        sections.setdefault(section, {})[name] = value
    if options.get("interpreter.languages"):
        # Ears for one language, or of a persona that goes one way, would not do.
        sections["stt"] = {"language": "auto", **sections.get("stt", {}), "task": "transcribe"}
    return settings.model_copy(update={name: _changed(settings, name, values) for name, values in sections.items()})


def _own(settings: Settings) -> Settings:
    """The server's own settings, its persona as its file says now; as at the start where that cannot be read."""
    try:
        return with_persona(settings, settings.persona.name, any_file=True)
    except PersonaError:
        return settings


def _persona_of(settings: Settings, name: object, own: Settings) -> Settings:
    """The settings with the persona that a page chose, as its file says it now; by default with the server's own."""
    try:
        if name is None or name == settings.persona.name:
            return with_persona(settings, settings.persona.name, any_file=True)
        return _within(own, with_persona(settings, str(name)))
    except PersonaError as error:
        raise OptionError(str(error)) from error


def _within(own: Settings, chosen: Settings) -> Settings:
    """A persona that a page chose, allowed no more than the server's own.

    Its own knowledge is what whoever runs the server gave it; what the server's persona has put aside does not come
    back.
    """
    stricter = {
        name: max(getattr(own.tools, name), getattr(chosen.tools, name), key=STRICTER.index) for name in PERMISSIONS
    }
    put_aside = chosen.persona.knowledge == own.plain.persona.knowledge != own.persona.knowledge
    persona = chosen.persona.model_copy(update={"knowledge": None}) if put_aside else chosen.persona
    return chosen.model_copy(update={"tools": chosen.tools.model_copy(update=stricter), "persona": persona})


def _check_permission(key: str, value: object, allowed: str) -> None:
    if value in STRICTER and STRICTER.index(str(value)) < STRICTER.index(allowed):
        raise OptionError(f"{key} = {value!r}: this server allows {allowed} at most")


def describe_options(settings: Settings) -> dict[str, dict[str, Any]]:
    """What may be chosen, and what it is without a choice.

    Args:
        settings: The server's.

    Returns:
        By dotted key: value, default, description, choices (None where any text or number will do), min and max.
    """
    settings = _own(settings)
    # Without a folder there is nothing to choose.
    missing = set() if settings.tools.folder else {"tools.files"}
    return {key: _described(settings, *key.split(".")) for key in SESSION_KEYS if key not in missing}


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
    value, default = getattr(section, name), field.get_default(call_default_factory=True)
    # Literals name their choices; a switch has two.
    choices = [True, False] if field.annotation is bool else list(get_args(field.annotation)) or None
    if choices and type(None) in choices:
        choices = None
    if f"{section_name}.{name}" in MODEL_KEYS and not _MODEL_NAME.fullmatch(value or ""):
        # A path is nobody's business.
        value = None
    if isinstance(value, list):
        # As a person types it.
        value, default, choices = ",".join(value) or None, ",".join(default) or None, None
    if (section_name, name) == ("persona", "name"):
        choices = sorted({*persona_files(personas_folder(settings)), str(value)})
    if section_name == "tools":
        choices = list(STRICTER[STRICTER.index(value) :])
    bounds = {bound: getattr(one, sign) for one in field.metadata for bound, sign in BOUNDS if hasattr(one, sign)}
    return {
        "value": value,
        "default": default,
        "description": field.description or "",
        "choices": choices,
        "min": bounds.get("min"),
        "max": bounds.get("max"),
    }


BOUNDS = (("min", "ge"), ("min", "gt"), ("max", "le"), ("max", "lt"))
