"""The table of the bench, and what stands beside it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import psutil

from tests.bench.sessions.lateness import worst_ms
from tests.bench.sessions.run import Measured
from tests.bench.table import median

HEADER = ("sessions", "wiring", "CPU", "lateness p95", "heard", "memory each", "judged/min", "answers/min")
TARGET_MS = 50.0
# Callers that send later than this make the server's figures worse.
CALLERS_LATE_MS = 10.0
OTHERS_PERCENT = 15.0


def rows(measured: Sequence[Measured]) -> list[tuple[str, ...]]:
    """One row for each measurement; see HEADER."""
    return [
        (
            str(one.n_sessions),
            one.wiring,
            f"{one.cpu_percent:.0f} %",
            _late(one),
            f"{heard_percent(one):.1f} %",
            f"{one.memory_mb:.1f} MB",
            f"{per_minute(one.n_judged, one):.0f}",
            f"{per_minute(one.n_answers, one):.0f}",
        )
        for one in measured
    ]


def lateness_ms(one: Measured) -> float | None:
    """The worst session's lateness; None where a session heard nothing."""
    return worst_ms(one.sessions) if len(one.sessions) == one.n_sessions else None


def heard_percent(one: Measured) -> float:
    """The share of the sound that was heard by the session that heard the least."""
    return min((session.heard_percent for session in one.sessions), default=0.0)


def per_minute(count: int, one: Measured) -> float:
    """How often something happened in a minute, all sessions together."""
    return 60 * count / one.window_secs


def most_sessions(measured: Sequence[Measured], wiring: str) -> int:
    """The largest number of sessions that a wiring held with a lateness below the target; 0 if none."""
    late_ms = {one.n_sessions: lateness_ms(one) for one in measured if one.wiring == wiring}
    return max((count for count, late in late_ms.items() if late is not None and late < TARGET_MS), default=0)


def notes(measured: Sequence[Measured]) -> list[str]:
    """What a reader must know about this run."""
    found = [
        f"{wiring}: {most_sessions(measured, wiring)} sessions with a lateness under {TARGET_MS:.0f} ms"
        for wiring in sorted({one.wiring for one in measured}, reverse=True)
    ]
    found.append(
        f"the callers used up to {max(one.callers_percent for one in measured):.0f} % of a core beside the server"
    )
    for one in measured:
        name = f"{one.n_sessions} sessions, {one.wiring}"
        if one.callers_late_p95_ms > CALLERS_LATE_MS:
            found.append(f"{name}: the callers themselves sent up to {one.callers_late_p95_ms:.0f} ms late (p95)")
        if one.others_percent > OTHERS_PERCENT:
            found.append(f"{name}: something else used {one.others_percent:.0f} % of a core")
    return found


def as_json(measured: Sequence[Measured]) -> dict[str, Any]:
    """All figures of the run."""
    return {
        "cores": psutil.cpu_count(),
        "target_lateness_ms": TARGET_MS,
        "measured": [
            {
                **asdict(one),
                "worst_lateness_p95_ms": lateness_ms(one),
                "median_lateness_p95_ms": _median_ms(one),
                "least_heard_percent": heard_percent(one),
            }
            for one in measured
        ],
    }


def _median_ms(one: Measured) -> float | None:
    known = [session.lateness_p95_ms for session in one.sessions if session.lateness_p95_ms is not None]
    return median(known) if known else None


def _late(one: Measured) -> str:
    late_ms = lateness_ms(one)
    return "nothing heard" if late_ms is None else f"{late_ms:.0f} ms"
