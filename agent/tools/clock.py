"""Tells the time and the date."""

from collections.abc import Callable
from datetime import datetime

from agent.tools.tool import NoArguments, Tool

Now = Callable[[], datetime]


def local_now() -> datetime:
    """The time here, with its zone."""
    return datetime.now().astimezone()


def clock_tool(now: Now = local_now) -> Tool:
    """The tool.

    Args:
        now: Gives the local time, with its zone.
    """

    async def tell(_: NoArguments) -> dict[str, str]:
        at = now()
        return {"time": f"{at:%H:%M}", "weekday": f"{at:%A}", "date": f"{at:%Y-%m-%d}", "zone": f"{at:%Z}"}

    return Tool("current_time", "The current local time, weekday and date.", NoArguments, tell)
