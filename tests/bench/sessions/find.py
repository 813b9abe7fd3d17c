"""How many calls each build carries: found by halving, each count held several times of several."""

from collections.abc import Awaitable, Callable

from tests.bench.sessions.report import TARGET_MS, lateness_ms
from tests.bench.sessions.run import Build, Measured

Measure = Callable[[Build, int], Awaitable[Measured]]
Tell = Callable[[str], None]


async def most_carried(build: Build, most: int, runs: int, measure: Measure, tell: Tell) -> int:
    """The largest number of calls that is held with a lateness below the target, in every run; 0 if not even one is.

    Args:
        build: Whose.
        most: More are not tried.
        runs: Of each number, until one fails.
        measure: Holds so many calls.
        tell: Is given a line for each run.
    """
    held, too_many = 0, most + 1
    while too_many - held > 1:
        count = (held + too_many) // 2
        if await _holds(build, count, runs, measure, tell):
            held = count
        else:
            too_many = count
    return held


async def _holds(build: Build, count: int, runs: int, measure: Measure, tell: Tell) -> bool:
    for run in range(1, runs + 1):
        late_ms = lateness_ms(await measure(build, count))
        is_held = late_ms is not None and late_ms < TARGET_MS
        shown = "a call heard nothing" if late_ms is None else f"lateness p95 {late_ms:.0f} ms"
        tell(f"{build.name}: {count} calls, run {run} of {runs}: {shown}{'' if is_held else ', too many'}")
        if not is_held:
            return False
    return True
