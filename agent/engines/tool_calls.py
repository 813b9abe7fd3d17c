"""Whether a language model calls tools, as its server tells.

Ollama tells it among the model's capabilities at /api/show, LM Studio at /api/v0/models, llama.cpp's server by what it
has read from the chat template at /props. vLLM tells nothing, and refuses a request with tools where it was started
without a parser for them: that is found out when a conversation asks. Nothing is sent but the model's name.
Sources: docs/api.md of Ollama; LM Studio's REST API v0; tools/server/README.md of llama.cpp.
"""

import re
from typing import Any

from agent.engines.look_ups import LookUps

# Tools are given to a template by this name.
_TEMPLATE_TOOLS = re.compile(r"\btools\b")


async def calls_tools(server: LookUps, make: str, model: str) -> bool | None:
    """Whether the model calls tools; None where the server does not tell.

    Args:
        server: Is asked.
        make: `ollama`, `vllm`, `llamacpp`, `lmstudio`, `embedded`, or `endpoint` for a server of unknown make.
        model: The model's name there.
    """
    if make == "ollama":
        return _named((await server.ask("/api/show", {"model": model})).get("capabilities"), "tools")
    if make == "lmstudio":
        listed = (await server.ask("/api/v0/models")).get("data")
        entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        return next((_named(one.get("capabilities"), "tool_use") for one in entries if one.get("id") == model), None)
    return None if make == "vllm" else _of_props(await server.ask("/props"))


def told(calls: bool | None, *, chooses: bool) -> str:
    """What a user is told of it.

    Args:
        calls: As `calls_tools` says.
        chooses: Whether a model that calls none may choose by a schema.
    """
    if calls is False:
        return "calls tools: by constrained choice" if chooses else "calls tools: no"
    return "calls tools: yes" if calls else "calls tools: tried when asked"


def _of_props(props: dict[str, Any]) -> bool | None:
    caps = props.get("chat_template_caps")
    supported = caps.get("supports_tools") if isinstance(caps, dict) else None
    if isinstance(supported, bool):
        return supported
    template = props.get("chat_template")
    return bool(_TEMPLATE_TOOLS.search(template)) if isinstance(template, str) and template.strip() else None


def _named(capabilities: object, name: str) -> bool | None:
    return name in capabilities if isinstance(capabilities, list) else None
