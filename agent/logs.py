"""Logging: one stream to standard error; Pipecat's own chatter only at DEBUG, which may hold what was said."""

import sys
from typing import Any

from loguru import logger

_ORDER = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR")
_VERBOSE = ("TRACE", "DEBUG")


def configure_logs(level: str) -> None:
    """Send logs of a level and above to standard error.

    Args:
        level: TRACE, DEBUG, INFO, WARNING or ERROR.
    """
    logger.remove()
    pattern = "<green>{time:HH:mm:ss.SSS}</green> <level>{level: <7}</level> {message}"
    library_level = level if level in _VERBOSE else max("WARNING", level, key=_ORDER.index)
    levels: dict[str | None, str | int | bool] = {"": level, "pipecat": library_level}
    if level not in _VERBOSE:
        # It would repeat what a peer sent, whole.
        levels["pipecat.transports.smallwebrtc.connection"] = False
        # It would repeat words.
        levels["pipecat.utils.context.aggregated_frame_sequencer"] = False
    logger.add(sys.stderr, level=level, format=pattern, filter=levels, diagnose=False)


class TurnLogger:
    """A sink that logs one INFO line a turn: its latencies, never its words."""

    def __init__(self) -> None:
        self._turn = 0

    def __call__(self, event: dict[str, Any]) -> None:
        """Take one event."""
        if event["event"] == "latency":
            self._turn += 1
            fields = " ".join(f"{name}={value}" for name, value in event.items() if name not in ("t", "event"))
            logger.info(f"turn={self._turn} {fields}")
