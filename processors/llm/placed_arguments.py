"""Arguments of a call that stand in their order, without names: which parameters they are.

In:  `set_timer(5)`, and what the tool takes.   Out: {"seconds": 5}; None where that is not certain.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.processors.aggregators.llm_context import LLMContext

# What JSON schemas call the types of what JSON can hold.
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


@dataclass(frozen=True)
class Parameters:
    """What a tool takes.

    Attributes:
        schemas: By their names, in their order.
        required: Names of those that it cannot do without.
    """

    schemas: Mapping[str, Any]
    required: frozenset[str] = frozenset()


def parameters_of(context: LLMContext) -> dict[str, Parameters]:
    """What the tools take that a context offers, by their names."""
    tools = context.tools
    if not isinstance(tools, ToolsSchema):
        return {}
    return {tool.name: Parameters(tool.properties, frozenset(tool.required)) for tool in tools.standard_tools}


def named(placed: Sequence[Any], given: Mapping[str, Any], takes: Parameters) -> dict[str, Any] | None:
    """All arguments by their names; None where it is not certain which is which, or a required one is missing.

    Args:
        placed: Those without names, in order.
        given: The others.
        takes: What the tool takes.
    """
    names = list(takes.schemas)[: len(placed)]
    found = dict(zip(names, placed, strict=False))
    if len(names) < len(placed) or found.keys() & given.keys() or not given.keys() <= takes.schemas.keys():
        return None
    if not all(_fits(value, takes.schemas[name]) for name, value in found.items()):
        return None
    if any(_may_swap(*two, takes.schemas) for two in itertools.combinations(found.items(), 2)):
        return None
    found |= given
    return found if takes.required <= found.keys() else None


def _may_swap(one: tuple[str, Any], other: tuple[str, Any], schemas: Mapping[str, Any]) -> bool:
    """Whether each of two values may as well be the other's: the order of a schema alone is no promise."""
    return _fits(one[1], schemas[other[0]]) and _fits(other[1], schemas[one[0]])


def _fits(value: object, schema: Any) -> bool:
    """Whether a value is of one of the types that a schema allows; one without types allows none here."""
    if not isinstance(schema, Mapping):
        return False
    if isinstance(several := schema.get("anyOf") or schema.get("oneOf"), list):
        return any(_fits(value, one) for one in several)
    told = schema.get("type")
    types = told if isinstance(told, list) else [told]
    return any(
        isinstance(value, _TYPES.get(str(one), ())) and (isinstance(value, bool) == (one == "boolean")) for one in types
    )
