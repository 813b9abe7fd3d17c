"""Settings as a persona changes them.

In:  settings, and a persona's name.   Out: the settings of the agent that is this persona.
"""

from pydantic import ValidationError

from agent.settings.load import Settings, personas_folder
from agent.settings.persona import STANDARD, Persona, PersonaError, load_persona
from agent.settings.section import Section


def with_persona(settings: Settings, name: str, *, any_file: bool = False) -> Settings:
    """The settings as a persona changes them, whatever persona they had; its file is read now.

    What flags and the environment say stands above a persona, and a persona above the configuration file.

    Args:
        settings: Any.
        name: The persona's.
        any_file: Whether it may also be the path of a file.

    Raises:
        PersonaError: There is none, it cannot be read, or stands for a setting that is invalid.
    """
    plain = settings.plain
    if name == STANDARD and plain.persona.name == STANDARD and not (personas_folder(plain) / f"{name}.md").is_file():
        return plain
    return _as_persona(plain, load_persona(name, personas_folder(plain), any_file=any_file), name).instead_of(plain)


def _as_persona(plain: Settings, persona: Persona, name: str) -> Settings:
    wanted = {**persona.sections, "persona": {**persona.sections.get("persona", {}), "name": name}}
    own = persona.sections.get("interpreter", {})
    if own and "languages" not in own and plain.interpreter.languages:
        # The user has made it one of two ways, which Whisper knows only one of.
        wanted["stt"] = {**wanted.get("stt", {}), "task": "transcribe"}
    sections: dict[str, Section] = {}
    for section_name, values in wanted.items():
        section: Section = getattr(plain, section_name)
        # Which persona it is, has been decided.
        above = {
            key: value
            for key, value in plain.above.get(section_name, {}).items()
            if section_name != "persona" or key != "name"
        }
        try:
            sections[section_name] = type(section).model_validate({**section.model_dump(), **values, **above})
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            key = ".".join([section_name, *map(str, problem["loc"])])
            raise PersonaError(
                f"persona {persona.name}: {key} = {str(problem['input'])[:60]!r}: "
                f"{problem['msg'].removeprefix('Value error, ')}"
            ) from error
    return plain.model_copy(update=sections)
