"""What a server of tools says, as the house's own tools: names, descriptions, schemas and results, each within bounds.

In:  mcp's tools and results.   Out: Tool, and results as data for the model.
"""

import contextlib
import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from mcp_types import Tool as ServerTool

from agent.errors import one_line
from agent.settings.mcp import McpServer
from agent.tools.tool import GivenArguments, Tool, ToolError

# The OpenAI API takes no more of a function's name.
MAX_NAME_CHARS = 64
MAX_DESCRIPTION_CHARS = 1_000
MAX_SCHEMA_CHARS = 8_000
MAX_ERROR_CHARS = 500
# A longer text is not read as JSON, which would hold up everybody.
MAX_READ_CHARS = 50_000

# All but tabs and line ends.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Call = Callable[[str, Mapping[str, Any]], Awaitable[CallToolResult]]


def tool_of(server: McpServer, prefix: str, found: ServerTool, call: Call) -> Tool | None:
    """The tool of a server; None where it cannot be told to a model.

    Args:
        server: Its settings.
        prefix: Stands before its name.
        found: What the server says of it.
        call: Calls it, by the server's own name.
    """
    name = tool_name(prefix, found.name)
    schema = found.input_schema
    if not name or len(json.dumps(schema, default=str)) > MAX_SCHEMA_CHARS:
        return None
    reads = bool(found.annotations and found.annotations.read_only_hint)
    asks = not reads if server.permission is None else server.permission == "ask"

    async def run(arguments: GivenArguments) -> object:
        return result_of(await call(found.name, arguments.model_dump()))

    return Tool(
        name,
        one_line(found.description or found.title or found.name, MAX_DESCRIPTION_CHARS),
        GivenArguments,
        run,
        acts=not reads,
        limit_secs=server.limit_secs,
        asks=asks,
        schema=schema,
        beside=found.name in server.beside if isinstance(server.beside, list) else server.beside,
    )


def tool_name(prefix: str, name: str) -> str:
    """A name that every language model's server takes; empty where nothing is left of it.

    Args:
        prefix: Stands before it.
        name: The server's own.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")
    return (f"{prefix}_{plain}" if prefix and plain else plain)[:MAX_NAME_CHARS]


def named_apart(tools: Sequence[Tool]) -> list[Tool]:
    """The same, those with a name that another one has with a number behind it.

    Args:
        tools: In the order in which they keep their names.
    """
    named: dict[str, Tool] = {}
    for tool in tools:
        name, number = tool.name, 1
        while name in named:
            number += 1
            name = f"{tool.name[: MAX_NAME_CHARS - 4]}_{number}"
        named[name] = replace(tool, name=name)
    return list(named.values())


def result_of(result: CallToolResult) -> object:
    """The result as data for the model.

    Args:
        result: The server's.

    Raises:
        ToolError: The server says that it is an error.
    """
    text = "\n".join(filter(None, map(_told, result.content)))
    if result.is_error:
        raise ToolError(one_line(text, MAX_ERROR_CHARS) or "the tool says that it failed, and not why")
    structured = result.structured_content
    if structured is None:
        return _plain(text) or "done; it says nothing more"
    # The text is to be the same again for those who know no structure.
    others = [one for one in result.content if not isinstance(one, TextContent)]
    if not text or (not others and _is_same(text, structured)):
        return _plain(structured)
    return _plain({"text": text, "structured": structured})


def _plain(value: Any) -> Any:
    """The same with None for numbers that JSON has not, and without control characters; mcp bounds how deep it is."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case str():
            return _CONTROLS.sub("", value)
        case dict():
            return {_plain(key): _plain(one) for key, one in value.items()}
        case list():
            return [_plain(one) for one in value]
        case _:
            return value


def _is_same(text: str, structured: object) -> bool:
    found: object = text
    if len(text) <= MAX_READ_CHARS:
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(text)
    return structured in (found, {"result": found}, {"result": text.split("\n")})


def _told(content: object) -> str:
    """What a piece of a result says, or what it is where nobody can read it aloud."""
    match content:
        case TextContent():
            return content.text
        case ImageContent():
            return f"[an image, {content.mime_type}, {_size(content.data)}]"
        case AudioContent():
            return f"[sound, {content.mime_type}, {_size(content.data)}]"
        case ResourceLink():
            return f"[a link to {content.name}: {content.uri}]"
        case EmbeddedResource(resource=BlobResourceContents() as blob):
            return f"[a file, {blob.uri}, {blob.mime_type or 'of no known kind'}, {_size(blob.blob)}]"
        case EmbeddedResource(resource=TextResourceContents() as file):
            return file.text
        case _:
            return f"[{type(content).__name__}]"


def _size(base64: str) -> str:
    n_bytes = len(base64) * 3 // 4
    return f"{n_bytes} bytes" if n_bytes < 1024 else f"{round(n_bytes / 1024)} kB"
