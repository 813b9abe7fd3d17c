"""Exact sums: fractions all the way, nothing is evaluated but numbers and their operators.

In:  `(3 + 4) * 2.5`, `15% of 80`, `2^10`.   Out: a Fraction; `told` makes text of it.
"""

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from pydantic import Field

from agent.tools.tool import Arguments, Tool, ToolError

MAX_CHARS = 200
MAX_POWER = 512
MAX_DIGITS = 400
# Shown where a result has no end.
DIGITS = 10

_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.FloorDiv: lambda a, b: Fraction(a // b),
}
_PERCENT_OF = re.compile(r"%\s*(?:of|\*)\s*")
_PERCENT = re.compile(r"(\d)\s*%(?!\s*[\d(.])")
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))")


def calculate(expression: str) -> Fraction:
    """The value of an expression.

    Args:
        expression: Numbers, brackets, + - * / // % ^ and `x % of y`.

    Raises:
        ToolError: It is none, or its value is too large to be said.
    """
    if len(expression) > MAX_CHARS:
        raise ToolError(f"the sum is longer than {MAX_CHARS} characters")
    plain = _GROUPED.sub("", expression).replace("×", "*").replace("÷", "/").replace("−", "-").replace("^", "**")
    plain = _PERCENT.sub(r"\1/100", _PERCENT_OF.sub("/100*", plain))
    try:
        tree = ast.parse(plain.strip(), mode="eval")
        return _value(tree.body, plain.strip())
    except ZeroDivisionError:
        raise ToolError("nothing can be divided by zero") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ToolError(f"{expression!r} is no sum") from None


def told(value: Fraction) -> str:
    """A value as a decimal number: exact where it ends, else ten digits with a word that says so."""
    if value.denominator == 1:
        return str(value.numerator)
    scaled = value
    for n_places in range(1, DIGITS + 1):
        scaled *= 10
        if scaled.denominator == 1:
            sign, digits = "-" * (value < 0), str(abs(scaled.numerator)).rjust(n_places + 1, "0")
            return f"{sign}{digits[:-n_places]}.{digits[-n_places:]}"
    return f"about {float(value):.{DIGITS}g}"


def sums_tool() -> Tool:
    """The tool."""

    async def run(arguments: "Sum") -> str:
        return told(calculate(arguments.expression))

    return Tool(
        "calculate",
        "The exact value of a sum, such as 12.5 * (3 + 4), 15% of 80 or 2^10. Use it for every calculation.",
        Sum,
        run,
    )


class Sum(Arguments):
    """A sum."""

    expression: str = Field(min_length=1, max_length=MAX_CHARS, description="numbers, brackets and + - * / ^ %")


def _value(node: ast.expr, source: str) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        # As it was written: 0.1 is a tenth.
        written = (ast.get_source_segment(source, node) or "").lower()
        if abs(int(written.partition("e")[2] or 0)) > MAX_DIGITS:
            raise ToolError(f"the result has more than {MAX_DIGITS} digits")
        return Fraction(written)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _value(node.operand, source)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        return _bounded(_combined(node, source))
    raise ValueError("no number")


def _combined(node: ast.BinOp, source: str) -> Fraction:
    left, right = _value(node.left, source), _value(node.right, source)
    if isinstance(node.op, ast.Pow):
        return _power(left, right)
    combine: Any = _OPERATORS.get(type(node.op))
    if combine is None:
        raise ValueError("no operator")
    return combine(left, right)


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) > MAX_POWER:
        raise ToolError(f"powers are whole numbers up to {MAX_POWER}")
    n_bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if n_bits * abs(exponent.numerator) > MAX_DIGITS * 4:
        raise ToolError(f"the result has more than {MAX_DIGITS} digits")
    return base**exponent.numerator


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_DIGITS * 4:
        raise ToolError(f"the result has more than {MAX_DIGITS} digits")
    return value
