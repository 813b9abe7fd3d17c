"""Converts units, exactly, for the language model."""

import asyncio
from fractions import Fraction

from pydantic import Field

from agent.tools.reflex_words import english_words
from agent.tools.sums import told
from agent.tools.tool import Arguments, Tool, ToolError
from agent.tools.units import FACTORS, convert

MAX_VALUE = 1e15


class Convert(Arguments):
    """An amount, and the unit that it is wanted in."""

    value: float = Field(ge=-MAX_VALUE, le=MAX_VALUE, description="the number")
    unit: str = Field(max_length=60, description="its unit in English, such as miles")
    to: str = Field(max_length=60, description="the unit that is wanted, such as kilometers")


def conversion_tool() -> Tool:
    """The tool."""

    async def run(arguments: Convert) -> dict[str, str]:
        # As it was written: 0.1 is a tenth.
        value = Fraction(repr(arguments.value))
        unit, wanted = await asyncio.to_thread(_matching, arguments.unit, arguments.to)
        return {"value": told(convert(value, unit, wanted)), "unit": arguments.to}

    return Tool("convert", "Convert units exactly, such as 10 miles to kilometers.", Convert, run)


def _matching(unit: str, to: str) -> tuple[str, str]:
    """Both units, of those that are called so two that measure the same."""
    words = english_words().units
    for name in (unit, to):
        if words.unit(name) is None:
            raise ToolError(f"there is no unit {name!r} here; there are those of {', '.join(FACTORS)}")
    if (first := words.unit(unit)) and (second := words.unit(to, first)):
        return first, second
    if (second := words.unit(to)) and (first := words.unit(unit, second)):
        return first, second
    raise ToolError(f"{unit} and {to} measure different things")
