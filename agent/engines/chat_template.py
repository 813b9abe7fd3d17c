"""Asks a language model's server for the chat template of its model, where it is one that tells.

llama.cpp's server tells it at /props, Ollama at /api/show. Nothing else is sent but the model's name.
Sources: tools/server/README.md of llama.cpp; docs/api.md of Ollama.
"""

import dataclasses
from typing import Any

from agent.engines.look_ups import LookUps
from processors.llm.templates import UNKNOWN_TEMPLATE, TemplateMarks, read_template


async def template_marks(server: LookUps, make: str, model: str, *, thinking: bool) -> TemplateMarks:
    """What the template says about thoughts; nothing where the server does not tell.

    Args:
        server: Is asked.
        make: `ollama`, `llamacpp`, `embedded`, or `endpoint` for a server of unknown make; others are not asked.
        model: The model's name there.
        thinking: Whether the model is asked to think.
    """
    if make not in ("ollama", "llamacpp", "embedded", "endpoint"):
        return UNKNOWN_TEMPLATE
    if make == "ollama":
        told = await server.ask("/api/show", {"model": model})
        capabilities = told.get("capabilities")
        apart = isinstance(capabilities, list) and "thinking" in capabilities
        template = told.get("template")
    else:
        told = await server.ask("/props")
        template = told.get("chat_template")
        apart = _reasoning_format(told) not in (None, "none")
    marks = read_template(template, thinking=thinking) if isinstance(template, str) else UNKNOWN_TEMPLATE
    if not apart or marks is UNKNOWN_TEMPLATE:
        return marks
    # The server takes the thoughts out of the text itself.
    return dataclasses.replace(marks, starts_inside=False)


def _reasoning_format(props: dict[str, Any]) -> object:
    value: Any = props
    for key in ("default_generation_settings", "params", "reasoning_format"):
        value = value.get(key) if isinstance(value, dict) else None
    return value
