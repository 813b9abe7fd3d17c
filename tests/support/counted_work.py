"""Work that is counted and not timed: lines of Python that run, in whatever library."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def n_lines(work: Callable[[], object]) -> int:
    """How many lines of Python run while something is done."""
    count = 0

    def trace(_: FrameType, event: str, __: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def grows_linearly(work: Callable[[int], Callable[[], object]], n: int, *, slack_lines: int = 200) -> bool:
    """Whether four times the input costs at most about four times the work.

    Args:
        work: Makes the work for an input of a size.
        n: The smaller size.
        slack_lines: What may come on top, whatever the size.
    """
    # Once beforehand, for what is made only once.
    work(n)()
    small, large = n_lines(work(n)), n_lines(work(4 * n))
    return large <= 4.4 * small + slack_lines
