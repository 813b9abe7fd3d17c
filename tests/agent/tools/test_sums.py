"""Sums: exact, told as decimals, and nothing but sums."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.tools.sums import calculate, sums_tool, told
from agent.tools.tool import ToolError


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("12 * 7", "84"),
        ("0.1 + 0.2", "0.3"),
        ("(3 + 4) * 2.5", "17.5"),
        ("15% of 80", "12"),
        ("12.5 % of 80", "10"),
        ("80 + 10%", "80.1"),
        ("17 % 5", "2"),
        ("1,000 + 5", "1005"),
        ("2^10", "1024"),
        ("2 ** -2", "0.25"),
        ("-3 - -4", "1"),
        ("7 // 2", "3"),
        ("6 × 7 ÷ 2", "21"),
        ("1 / 8", "0.125"),
        ("-0.05", "-0.05"),
        ("1 / 3", "about 0.3333333333"),
        ("1e3 + 1", "1001"),
    ],
)
def test_a_sum_is_exact(expression: str, value: str) -> None:
    assert told(calculate(expression)) == value


@given(
    st.lists(st.tuples(st.sampled_from("+-*"), st.decimals(0, 9999, places=3, allow_nan=False)), min_size=1, max_size=6)
)
def test_any_sum_is_what_fractions_make_of_it(parts: list[tuple[str, object]]) -> None:
    written = "1 " + " ".join(f"{sign} {number}" for sign, number in parts)
    value, product = Fraction(0), Fraction(1)
    for sign, number in parts:
        if sign == "*":
            product *= Fraction(str(number))
        else:
            value, product = value + product, Fraction(str(number)) * (1 if sign == "+" else -1)
    assert calculate(written) == value + product


@pytest.mark.parametrize(
    "expression",
    [
        *("", "two", "1 +", "a + 1", "f(2)", "[1]", "'a' * 3", "True + 1", "1 if 1 else 2", "x := 3", "1j * 2"),
        *("__import__('os')", "(1).real", "1 and 2", "1 < 2", "~1", "1 << 2", "1; 2", "0x1f"),
    ],
)
def test_what_is_no_sum_is_not_calculated(expression: str) -> None:
    with pytest.raises(ToolError, match="is no sum"):
        calculate(expression)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("1 / 0", "nothing can be divided by zero"),
        ("5 % (2 - 2)", "nothing can be divided by zero"),
        ("9 ^ 9 ^ 9", "powers are whole numbers up to 512"),
        ("2 ^ 0.5", "powers are whole numbers up to 512"),
        ("99999999999999999999 ^ 500", "the result has more than 400 digits"),
        ("1e99999999", "the result has more than 400 digits"),
        ("1" * 201, "the sum is longer than 200 characters"),
    ],
)
def test_what_cannot_be_said_is_refused_before_it_is_calculated(expression: str, why: str) -> None:
    with pytest.raises(ToolError, match=why):
        calculate(expression)


async def test_the_tool_tells_its_value() -> None:
    tool = sums_tool()
    assert await tool.run(tool.arguments.model_validate({"expression": "2 + 2"})) == "4"
