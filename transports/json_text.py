"""JSON from outside: read within a depth that everything behind it can walk, show and write again.

In:  text or bytes.   Out: what they hold.

TooDeepError    a ValueError: it is nested deeper than that
"""

import json
from typing import Any

# Of a caller's messages; none of ours holds more than four levels.
MAX_DEPTH = 32


class TooDeepError(ValueError):
    """JSON that is nested too deep."""

    def __init__(self) -> None:
        super().__init__(f"nested deeper than {MAX_DEPTH} levels")


def read_json(text: str | bytes) -> Any:
    """What a JSON text holds.

    Args:
        text: Anything at all.

    Raises:
        ValueError: It is no JSON, or holds a number of very many digits.
        TooDeepError: It is nested deeper than `MAX_DEPTH`.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise TooDeepError from None
    level = [[content]]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
    if level:
        raise TooDeepError
    return content
