"""The functions that a caller of POST /v1/chat/completions offers, and the calls in what was said before.

In:  `tools`, `tool_choice`, messages with calls and results.   Out: tools whose calls are told on; or an ApiError that
names the field.
Source: the OpenAI API reference (create chat completion) and openai-python's types.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, StrictBool, StrictStr, ValidationError

from agent.conversation.written_tools import Choice
from agent.plain_text import plain_text
from agent.server.wire.errors import MAX_SHOWN_CHARS, ApiError
from agent.tools.results import as_json
from agent.tools.tool import GivenArguments, Tool

MAX_TOOLS = 128
MAX_ID_CHARS = 200
NAME = r"^[A-Za-z0-9_.-]{1,64}$"
ANYTHING: dict[str, Any] = {"type": "object", "properties": {}}
SHAPE = '"auto", "none", "required" or a function of tools by its name'


class _Function(BaseModel):
    name: StrictStr = Field(pattern=NAME)
    description: StrictStr | None = None
    parameters: dict[str, Any] | None = None
    strict: StrictBool | None = None


class _Offered(BaseModel):
    type: Literal["function"]
    function: _Function


class _CalledFunction(BaseModel):
    name: StrictStr = Field(pattern=NAME)
    arguments: StrictStr


class Called(BaseModel):
    """A call that a model has made."""

    id: StrictStr = Field(min_length=1, max_length=MAX_ID_CHARS)
    type: Literal["function"] = "function"
    function: _CalledFunction

    def told(self) -> dict[str, Any]:
        """As a language model is told of it."""
        arguments = plain_text(self.function.arguments)
        return {"id": self.id, "type": "function", "function": {"name": self.function.name, "arguments": arguments}}


class OpenCalls:
    """Calls in a conversation whose results are still to come, while its messages are read in order."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._place = ""

    def begin(self, calls: list[Called], place: str) -> None:
        """A model calls.

        Args:
            calls: What.
            place: Of its message.

        Raises:
            ApiError: Two are called the same.
        """
        self._open, self._place = [call.id for call in calls], place
        if len(set(self._open)) < len(self._open):
            raise messages_refused(f"{place}.tool_calls", "two calls have the same id")

    def end(self, call_id: str, place: str) -> None:
        """A result has come.

        Raises:
            ApiError: No call waits for it.
        """
        if call_id not in self._open:
            raise messages_refused(f"{place}.tool_call_id", f"no call {call_id[:MAX_SHOWN_CHARS]!r} waits for a result")
        self._open.remove(call_id)

    def must_be_over(self) -> None:
        """Something else is said, or nothing more.

        Raises:
            ApiError: A call has no result.
        """
        if self._open:
            shown = repr(self._open[0][:MAX_SHOWN_CHARS])
            raise messages_refused(f"{self._place}.tool_calls", f"no message of role 'tool' has the result of {shown}")


def messages_refused(where: str, why: str) -> ApiError:
    """What a caller is told whose messages cannot be used."""
    return ApiError(400, f"{where}: {why}", param="messages", code="invalid_value")


def functions_of(given: Mapping[str, Any]) -> tuple[list[Tool] | None, Choice]:
    """What may be called.

    Args:
        given: The request's fields; what is null is left out.

    Returns:
        The caller's functions: None where he says nothing of tools, none of them where nothing may be called.

    Raises:
        ApiError: `tools` or `tool_choice` is invalid.
    """
    offered, choice = _offered(given.get("tools", [])), given.get("tool_choice", "auto")
    if choice == "none":
        return [], "auto"
    if choice != "auto":
        return _chosen(offered, choice)
    return offered or None, "auto"


def _offered(given: object) -> list[Tool]:
    if not isinstance(given, list):
        raise _refused("tools", "it is not a list")
    if len(given) > MAX_TOOLS:
        raise _refused("tools", f"more than {MAX_TOOLS}")
    tools: dict[str, Tool] = {}
    for index, one in enumerate(given):
        try:
            function = _Offered.model_validate(one).function
            as_json(function.parameters).encode()
        except UnicodeEncodeError:
            raise _refused("tools", f"tools[{index}].function.parameters: there is half a character in it") from None
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(map(str, (f"tools[{index}]", *problem["loc"])))
            raise _refused("tools", f"{where}: {problem['msg']}") from None
        if function.name in tools:
            raise _refused("tools", f"there are two called {function.name}")
        description = plain_text(function.description or "").strip() or function.name
        schema = function.parameters or ANYTHING
        tools[function.name] = Tool(function.name, description, GivenArguments, _nothing, schema=schema)
    return list(tools.values())


def _chosen(offered: list[Tool], choice: object) -> tuple[list[Tool], Choice]:
    """Whichever may be called, and whether one has to be."""
    names, mode = _names(choice)
    if not offered:
        raise _refused("tool_choice", "there are no tools")
    by_name = {tool.name: tool for tool in offered}
    if unknown := [name for name in names if name not in by_name]:
        raise _refused("tool_choice", f"{unknown[0][:MAX_SHOWN_CHARS]!r} is none of tools")
    return [by_name[name] for name in dict.fromkeys(names)] if names else offered, mode


def _names(choice: object) -> tuple[list[str], Choice]:
    match choice:
        case "required":
            return [], "required"
        case {"type": "function", "function": {"name": str(name)}}:
            return [name], "required"
        case {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto" | "required" as mode, "tools": [_, *_] as tools},
        }:
            return [name for one in tools for name in _names(one)[0]], mode
        case _:
            raise _refused("tool_choice", f"it is not {SHAPE}")


def _refused(param: str, why: str) -> ApiError:
    message = why if re.match(rf"{param}\[", why) else f"{param}: {why}"
    return ApiError(400, message, param=param, code="invalid_value")


async def _nothing(_: GivenArguments) -> object:
    """The caller does it."""
    return None
