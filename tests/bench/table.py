"""Prints measurements beside their targets."""

import statistics
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from agent.load.measured import percentile

__all__ = ["median", "percentile", "show"]


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def show(title: str, rows: Sequence[Sequence[str]], header: Sequence[str] = ("measured", "value", "target")) -> None:
    """Print a table."""
    table = Table(*header, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)
