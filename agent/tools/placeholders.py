"""What stands in a history for a result that is still to come, as this room writes it.

In:  the whole content of a tool's message.   Out: whether it is one of these, and no result that reads like one.
"""

import json
from collections.abc import Mapping
from typing import Any

from agent.tools.beside import BEGUN
from agent.tools.consent import WAITING

SO_FAR = "so_far"


def stands_for_a_result(content: str) -> bool:
    """Whether the call waits for a yes, or runs beside the conversation.

    Args:
        content: Of the message, whole.
    """
    if not content.startswith("{"):
        return False
    try:
        told: Any = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return told in (WAITING, BEGUN) or _without_progress(told) == BEGUN


def _without_progress(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if key != SO_FAR}
