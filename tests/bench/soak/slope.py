"""How fast something grows, and how sure that is.

Samples of one process depend on each other (an allocator gives back in steps), so the interval is that of a moving
block bootstrap: the residuals are drawn anew in blocks of neighbours (Künsch 1989), not one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

N_DRAWS = 2000
PERCENT = 95
SECS_AN_HOUR = 3600.0


@dataclass(frozen=True)
class Slope:
    """Growth an hour, in the unit of the samples.

    Attributes:
        an_hour: Least squares.
        least: The lower end of the interval.
        most: Its upper end.
    """

    an_hour: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.an_hour:+.2f} ({self.least:+.2f} to {self.most:+.2f})"


def slope(at_secs: Sequence[float], values: Sequence[float], *, seed: int = 1) -> Slope:
    """The slope of values over time, with a 95 % interval.

    Args:
        at_secs: When each sample was taken, shape (n,), n >= 8.
        values: The samples, shape (n,).
        seed: Of what is drawn.

    Raises:
        ValueError: Too few samples.
    """
    hours, sizes = np.asarray(at_secs) / SECS_AN_HOUR, np.asarray(values)
    if len(hours) < 8:
        raise ValueError(f"{len(hours)} samples tell no slope; at least 8")
    growth, start = np.polyfit(hours, sizes, 1)
    line = growth * hours + start
    left = sizes - line
    n_block = max(2, round(len(left) ** (1 / 2)))
    draw = np.random.default_rng(seed)
    firsts = draw.integers(0, len(left) - n_block + 1, (N_DRAWS, -(-len(left) // n_block)))
    picked = (firsts[:, :, None] + np.arange(n_block)).reshape(N_DRAWS, -1)[:, : len(left)]
    centred = hours - hours.mean()
    # Of least squares the slope alone, for all draws at once.
    drawn = (line + left[picked]) @ centred / (centred @ centred)
    least, most = np.percentile(drawn, [(100 - PERCENT) / 2, (100 + PERCENT) / 2])
    return Slope(float(growth), float(least), float(most))
