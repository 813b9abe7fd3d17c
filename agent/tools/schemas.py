"""What tools take: told to the language model as JSON schemas, and compared with what it gives.

In:  a tool, and a call's arguments.   Out: the function as the model is told of it; the arguments, checked.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import referencing
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, UnknownType
from jsonschema.validators import extend
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pydantic import ValidationError
from referencing.exceptions import Unresolvable

from agent.tools.tool import Arguments, Tool, ToolError

MAX_MISTAKES = 5
MAX_MISTAKE_CHARS = 200

# Of keywords in one call: a small schema may refer to itself so often that it takes for ever.
MAX_EVALUATIONS = 1_000
# A pattern that is not ours may take for ever, and so may looking for what all the others have left over.
_NOT_OURS = ("pattern", "patternProperties", "additionalProperties", "unevaluatedProperties", "unevaluatedItems")
_evaluations: ContextVar["Iterator[int]"] = ContextVar("evaluations")


class _TooMuchError(Exception):
    """A schema takes too long."""


def _counted(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    def counting(*args: Any) -> Any:
        if next(_evaluations.get()) >= MAX_EVALUATIONS:
            raise _TooMuchError
        return evaluate(*args)

    return counting


_Validator = extend(
    Draft202012Validator,
    {
        **{name: _counted(evaluate) for name, evaluate in Draft202012Validator.VALIDATORS.items()},
        # Whoever has it checks it.
        **{name: lambda *_: () for name in _NOT_OURS},
    },
)


class _WholeSchema(FunctionSchema):
    """A function whose parameters go to the model as they are."""

    def __init__(self, name: str, description: str, schema: Mapping[str, Any]) -> None:
        properties, required = schema.get("properties"), schema.get("required")
        super().__init__(
            name,
            description,
            properties if isinstance(properties, dict) else {},
            required if isinstance(required, list) else [],
        )
        self._schema = dict(schema)

    def to_default_dict(self) -> dict[str, Any]:
        """Pipecat's own form of it, which keeps properties alone, with the whole schema."""
        parameters = {"type": "object", "properties": {}, **self._schema}
        return {**super().to_default_dict(), "parameters": parameters}


def function_of(tool: Tool) -> FunctionSchema:
    """The tool as the language model is told of it.

    Args:
        tool: Any.
    """
    if tool.schema is not None:
        return _WholeSchema(tool.name, tool.description, tool.schema)
    schema = tool.arguments.model_json_schema()
    properties = {
        name: {key: value for key, value in one.items() if key not in ("title", "default")}
        for name, one in schema.get("properties", {}).items()
        # What only `prepare` finds out is not asked for.
        if not one.get("own")
    }
    return FunctionSchema(tool.name, tool.description, properties, schema.get("required", []))


async def checked(tool: Tool, given: Mapping[str, Any]) -> Arguments:
    """The arguments of a call; by a schema that is not ours beside the event loop.

    Args:
        tool: What is called.
        given: Unchecked.

    Raises:
        ToolError: They do not fit; what is wrong, in one line.
    """
    if tool.schema is not None:
        await asyncio.to_thread(_check, tool.schema, given)
    try:
        return tool.arguments.model_validate(dict(given))
    except ValidationError as error:
        raise ToolError(_mistakes(error)) from error


def _check(schema: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    # An empty registry: what a schema refers to is looked for in itself, never fetched.
    _evaluations.set(itertools.count())
    validator = _Validator(dict(schema), registry=referencing.Registry())
    try:
        found = [error for error, _ in zip(validator.iter_errors(dict(given)), range(MAX_MISTAKES), strict=False)]
    except (
        _TooMuchError,
        SchemaError,
        UnknownType,
        Unresolvable,
        RecursionError,
        TypeError,
        ValueError,
        AttributeError,
        KeyError,
    ):
        # A schema that says nothing sensible: its owner compares.
        return
    if found:
        lines = [
            f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.message}"[:MAX_MISTAKE_CHARS]
            for error in found
        ]
        raise ToolError("; ".join(lines))


def _mistakes(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg'].removeprefix('Value error, ')}"
        for one in error.errors(include_url=False, include_input=False)
    )
