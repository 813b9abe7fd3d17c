"""How a model is asked to choose a tool: what it is told, and the schema that its answer must follow.

In:  tools.   Out: an instruction, messages, and a JSON schema of action, parameters and confidence.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from pipecat.processors.aggregators.llm_context import LLMContextMessage

from agent.tools.schemas import function_of
from agent.tools.tool import Tool
from processors.llm.history import with_examples

NONE = "none"
# Texts that are written down as they were said.
TEXTS = {"text", "fact"}
NAMES = {"name", "new_name"}
MAX_NAME_WORDS = 4
INSTRUCTION = (
    "You decide what a voice assistant does about the user's last words. Answer with one JSON object and nothing else: "
    '{"action": NAME, "parameters": {...}, "confidence": 0 to 1}. Take "none" with empty parameters if the user asks '
    "for none of these actions, only talks about one, or says not to do it. Take names and texts from the user's own "
    "words, and make up nothing. A low confidence makes the assistant ask first. It is {now}. The actions, with the "
    "JSON schemas of their parameters:"
)
SMALL_INSTRUCTION = "Choose what the user asks for, as JSON. Copy the user's words."
# The smallest models learn from examples alone. Always the same ones, so that the server has read them already.
SMALL_EXAMPLES = (
    ("hello there", NONE, {}),
    ("set a timer for two minutes", "set_timer", {"seconds": 120, "label": ""}),
    ("remember that I live in Rome", "remember", {"fact": "I live in Rome"}),
    ("add eggs to my list", "append_to_file", {"name": "list", "text": "eggs"}),
    ("put the letter into the bin", "delete_file", {"name": "letter"}),
    ("cancel the soup timer", "cancel_timer", {"label": "soup"}),
)
CONFIDENCE = {"type": "number", "minimum": 0, "maximum": 1}


def prompt(tools: Sequence[Tool], now: datetime) -> str:
    """The instruction for a model that follows instructions.

    Args:
        tools: What is offered.
        now: The local time.
    """
    lines = [f"- {tool.name}: {tool.description} {json.dumps(_parameters(tool), ensure_ascii=False)}" for tool in tools]
    told = INSTRUCTION.replace("{now}", f"{now:%A, %Y-%m-%d, %H:%M}")
    return "\n".join([told, *lines, f"- {NONE}: nothing of this. {{}}"])


def small_prompt(words: str) -> tuple[str, list[LLMContextMessage]]:
    """Instruction and messages for the smallest models.

    Args:
        words: The user's.
    """
    shown = [
        (said, json.dumps({"action": action, "parameters": parameters, "confidence": 1}))
        for said, action, parameters in SMALL_EXAMPLES
    ]
    return SMALL_INSTRUCTION, with_examples(shown, words)


def schema_of(tools: Sequence[Tool], secs: float | None, pieces: Sequence[str] | None) -> dict[str, Any]:
    """What an answer must be: one of the actions with its parameters, or none.

    Args:
        tools: What is offered.
        secs: The one duration that was said; None without one, or with several.
        pieces: For the smallest models: what a text or a name of the turn may be.
    """
    variants = [_variant(tool.name, _narrowed(_parameters(tool), secs, pieces)) for tool in tools]
    return {"anyOf": [*variants, _variant(NONE, {"type": "object", "properties": {}, "additionalProperties": False})]}


def _variant(action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "action": {"type": "string", "enum": [action]},
            "parameters": dict(parameters),
            "confidence": CONFIDENCE,
        },
        "required": ["action", "parameters", "confidence"],
        "additionalProperties": False,
    }


def _parameters(tool: Tool) -> dict[str, Any]:
    return cast(dict[str, Any], function_of(tool).to_default_dict()["parameters"])


def _narrowed(parameters: dict[str, Any], secs: float | None, pieces: Sequence[str] | None) -> dict[str, Any]:
    properties = {name: _plain(one) for name, one in (parameters.get("properties") or {}).items()}
    required = list(parameters.get("required") or [])
    if secs is not None and "seconds" in properties:
        properties["seconds"] = {"type": "number", "enum": [int(secs) if secs == int(secs) else secs]}
    if pieces is not None:
        # Nothing that is optional is thought up, but names are.
        properties = {
            name: one
            for name, one in properties.items()
            if name in required or _is_text(one) or (name == "seconds" and secs is not None)
        }
        required = list(properties)
        if pieces:
            properties |= {name: {"type": "string", "enum": list(pieces)} for name in TEXTS & set(properties)}
            names = [piece for piece in pieces if piece.count(" ") < MAX_NAME_WORDS]
            properties |= {name: {"type": "string", "enum": names} for name in NAMES & set(properties)}
    return {**parameters, "properties": properties, "required": required, "additionalProperties": False}


def _plain(schema: Any) -> Any:
    """A schema whose pattern every server knows: llama.cpp takes an optional digit by its short name for nothing."""
    if not isinstance(schema, dict) or not isinstance(schema.get("pattern"), str):
        return schema
    return {**schema, "pattern": schema["pattern"].replace(r"\d", "[0-9]")}


def _is_text(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "string" and "pattern" not in schema
