"""What a client sends as an item, read: within bounds, and fit for everything behind it.

In:  `item` of `conversation.item.create`, anything at all.   Out: its fields, or a RealtimeProblem that names one.
"""

import re
from collections.abc import Mapping
from typing import Any

from agent.plain_text import plain_text
from agent.server.realtime.calls import MAX_OUTPUT_CHARS
from agent.server.realtime.problems import MAX_ID_CHARS, RealtimeProblem
from agent.server.realtime.session_config import FUNCTION_NAME, MAX_NAME_CHARS
from agent.tools.results import as_json
from transports.json_text import read_json

Message = Mapping[str, Any]
# Of one item, all of its parts together; so many parts.
MAX_TEXT_CHARS = 64_000
MAX_PARTS = 64
PARTS = {
    "user": ("input_text",),
    "system": ("input_text",),
    "assistant": ("output_text", "text"),
}


def id_of(wanted: Message, key: str) -> str:
    """An id that a client gives.

    Args:
        wanted: The item.
        key: Of the id.

    Raises:
        RealtimeProblem: It is no short text.
    """
    given = wanted.get(key)
    if not isinstance(given, str) or not 0 < len(given) <= MAX_ID_CHARS or given != plain_text(given):
        raise RealtimeProblem(f"item.{key} must be a short text", param=f"item.{key}")
    return given


def message_of(wanted: Message) -> tuple[str, list[dict[str, str]]]:
    """Role and parts of a message.

    Raises:
        RealtimeProblem: It is none, is too long, or holds what cannot be taken.
    """
    role, content = wanted.get("role"), wanted.get("content")
    if role not in PARTS:
        raise RealtimeProblem("item.role must be user, assistant or system", param="item.role")
    if not isinstance(content, list) or not 0 < len(content) <= MAX_PARTS:
        raise RealtimeProblem(f"item.content must be a list of 1 to {MAX_PARTS} parts", param="item.content")
    told: list[dict[str, str]] = []
    for at, part in enumerate(content):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind not in PARTS[role]:
            raise RealtimeProblem(
                f"a part of type {str(kind)[:40]!r} cannot be taken from {role}; {PARTS[role][0]} can",
                code="unsupported_value",
                param=f"item.content[{at}].type",
            )
        text = part.get("text")
        if not isinstance(text, str) or len(text) > MAX_TEXT_CHARS:
            raise RealtimeProblem(
                f"a part's text must be text of at most {MAX_TEXT_CHARS} characters", param=f"item.content[{at}].text"
            )
        told.append({"type": PARTS[role][0], "text": plain_text(text)})
    if sum(len(part["text"]) for part in told) > MAX_TEXT_CHARS:
        raise RealtimeProblem(f"the parts of an item hold at most {MAX_TEXT_CHARS} characters", param="item.content")
    return role, told


def call_of(wanted: Message) -> dict[str, str]:
    """`call_id`, `name` and `arguments` of a call that was made elsewhere; the arguments as JSON of an object.

    Raises:
        RealtimeProblem: It is none.
    """
    call_id, name, arguments = id_of(wanted, "call_id"), wanted.get("name"), wanted.get("arguments")
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARS or not re.fullmatch(FUNCTION_NAME, name):
        raise RealtimeProblem("item.name must be a function's name", param="item.name")
    if arguments is not None and not (isinstance(arguments, str) and len(arguments) <= MAX_TEXT_CHARS):
        raise RealtimeProblem(
            f"item.arguments must be JSON of at most {MAX_TEXT_CHARS} characters", param="item.arguments"
        )
    try:
        given = read_json(arguments or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise RealtimeProblem("item.arguments must be JSON of an object", param="item.arguments")
    return {"call_id": call_id, "name": name, "arguments": plain_text(as_json(given))}


def output_of(wanted: Message) -> str:
    """What came of a call.

    Raises:
        RealtimeProblem: It is no text, or too long.
    """
    output = wanted.get("output")
    if not isinstance(output, str) or len(output) > MAX_OUTPUT_CHARS:
        raise RealtimeProblem(f"output must be text of at most {MAX_OUTPUT_CHARS} characters", param="item.output")
    return plain_text(output)
