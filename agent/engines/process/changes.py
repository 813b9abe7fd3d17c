"""What a conversation's settings change about its engines: sent from one process to another, not the settings whole."""

from typing import Any

from pydantic import ValidationError

from agent.engines.process.wire import WireError
from agent.settings.load import Settings

# The sections that choose engines; see `SessionEngines.host_for`.
SECTIONS = ("stt", "llm", "tts", "interpreter")
Changes = dict[str, dict[str, Any]]


def changes_of(server: Settings, own: Settings) -> Changes:
    """What a conversation has its own way, by section and name.

    Args:
        server: The server's settings.
        own: The conversation's.
    """
    changes: Changes = {}
    for section in SECTIONS:
        before, now = getattr(server, section), getattr(own, section)
        names = [name for name in type(now).model_fields if getattr(before, name) != getattr(now, name)]
        if names:
            changes[section] = now.model_dump(mode="json", include=set(names))
    return changes


def with_changes(server: Settings, changes: Any) -> Settings:
    """The settings of a conversation.

    Args:
        server: The server's.
        changes: From `changes_of`.

    Raises:
        WireError: They are none.
    """
    if not isinstance(changes, dict) or not set(changes) <= set(SECTIONS):
        raise WireError("these are no changes of settings")
    sections: dict[str, Any] = {}
    for name, values in changes.items():
        section = getattr(server, name)
        try:
            sections[name] = type(section).model_validate({**section.model_dump(), **values})
        except (ValidationError, TypeError) as error:
            raise WireError(f"these are no changes of {name}") from error
    return server.model_copy(update=sections)
