"""Tool calls in data: which tools they name, and with which arguments.

In:  JSON, what is nearly JSON, or Python, as models write them.   Out: names, and arguments that are a mapping.
"""

import ast
import json
import warnings
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import json_repair

# Repairing takes time by the square of the length, and of what is opened in it: half a second for a thousand braces.
MAX_REPAIRED_CHARS, MAX_OPENED = 2_000, 64
NAMES = ("name", "tool_name", "tool", "recipient_name", "action", "function")
ARGUMENTS = ("arguments", "parameters", "args", "action_input", "input", "tool_input")
# More than any template nests.
_MAX_DEPTH = 6


@dataclass(frozen=True)
class DataCall:
    """A call in data.

    Attributes:
        name: Of the tool.
        arguments: None where they cannot be read.
    """

    name: str
    arguments: Mapping[str, Any] | None


@dataclass(frozen=True)
class PythonCall:
    """The arguments of a call in Python.

    Attributes:
        placed: Those without names, in order.
        given: Those with names.
    """

    placed: tuple[Any, ...]
    given: Mapping[str, Any]


def read_data(text: str, *, repairs: bool = True) -> Any:
    """What a text says in JSON or in Python; None where it says nothing.

    Args:
        text: All of it.
        repairs: Whether what is only nearly JSON counts.
    """
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        if len(text) > MAX_REPAIRED_CHARS:
            return None
    if "'" in text and (tree := _python(text)) is not None and (value := _literal(tree)) is not None:
        return value
    if not repairs or text.count("{") + text.count("[") > MAX_OPENED:
        return None
    try:
        return json_repair.loads(text, skip_json_loads=True)
    except (ValueError, RecursionError):
        return None


def read_python(text: str) -> PythonCall | None:
    """A Python call; None where it is none, or one whose arguments are no plain values.

    Args:
        text: From the name to the closing parenthesis.
    """
    call = _python(text)
    if not isinstance(call, ast.Call):
        return None
    given = {word.arg: _literal(word.value, none=...) for word in call.keywords if word.arg}
    placed = [_literal(one, none=...) for one in call.args]
    if ... in placed or any(value is ... for value in given.values()) or len(given) < len(call.keywords):
        return None
    if len(placed) == 1 and not given and isinstance(placed[0], dict):
        return PythonCall((), placed[0])
    return PythonCall(tuple(placed), given)


def calls_of(value: object, tools: Set[str], depth: int = 0) -> list[DataCall]:
    """The calls that data hold; none where anything in them is no call.

    Args:
        value: An object, or a list of them.
        tools: Whose names alone count as the key of their arguments.
    """
    if isinstance(value, list) and depth < _MAX_DEPTH:
        each = [calls_of(one, tools, depth + 1) for one in value]
        return [call for calls in each for call in calls] if all(each) else []
    if not isinstance(value, dict) or depth == _MAX_DEPTH:
        return []
    for key in ("tool_calls", "function", "function_call"):
        if isinstance(nested := value.get(key), dict | list) and nested:
            return calls_of(nested, tools, depth + 1)
    if value and all(key in tools and isinstance(value[key], dict) for key in value):
        return [DataCall(key, value[key]) for key in value]
    name = next((value[key] for key in NAMES if isinstance(value.get(key), str)), None)
    given = next((value[key] for key in ARGUMENTS if isinstance(value.get(key), dict | str)), None)
    if name is None or given is None:
        return []
    return [DataCall(name.removeprefix("functions."), _arguments(given))]


def _arguments(given: dict[str, Any] | str) -> Mapping[str, Any] | None:
    arguments = read_data(given or "{}") if isinstance(given, str) else given
    # How a tool is described, not how it is called.
    is_schema = isinstance(arguments, dict) and arguments.get("type") == "object" and "properties" in arguments
    return arguments if isinstance(arguments, dict) and not is_schema else None


def _python(text: str) -> ast.expr | None:
    if len(text) > MAX_REPAIRED_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _literal(tree: ast.expr, none: Any = None) -> Any:
    try:
        return ast.literal_eval(tree)
    except (ValueError, TypeError, RecursionError, MemoryError, SyntaxError):
        return none
