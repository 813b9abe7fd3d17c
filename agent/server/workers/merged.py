"""One answer made of all workers' answers: the server's health, and its metrics.

In:  what each worker has answered.   Out: JSON values; Prometheus' text.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

DRAINING, READY, STARTING = "draining", "ready", "starting"
# Values of the whole server, which every worker tells: not to be added up.
# Ears and voices are asked by the engine process alone: all workers tell the same of their addresses.
_OF_ADDRESSES = [
    f'sotto_address_{what}{{engine="{engine}"'
    for what in ("in_flight", "requests_total", "failures_total", "moved_total", "hedged_total")
    for engine in ("stt", "tts")
]
OF_THE_SERVER = (
    *("sotto_build_info", "sotto_places", "process_start_time_seconds"),
    *("sotto_address_gone", *_OF_ADDRESSES),
)


def health(reports: Sequence[Mapping[str, Any]], *, n_workers: int, is_draining: bool) -> dict[str, Any]:
    """What the server says of itself.

    Args:
        reports: Those of the workers that answered; short ones where the caller has not shown the token.
        n_workers: How many there are to be.
        is_draining: Whether the server is to end.
    """
    statuses = [report.get("status") for report in reports]
    status = DRAINING if is_draining or DRAINING in statuses else READY if READY in statuses else STARTING
    best = next((one for one in reports if one.get("status") == READY), reports[0] if reports else {})
    whole = {**best, "status": status}
    if "engines" in best:
        whole["workers"] = {"ready": statuses.count(READY) + statuses.count(DRAINING), "of": n_workers}
    for name in ("sessions", "transcriptions"):
        if name in best:
            whole[name] = {**best[name], "active": sum(one.get(name, {}).get("active", 0) for one in reports)}
    return whole


def is_well(path: str, status: str) -> bool:
    """Whether an orchestrator is answered with 200.

    Args:
        path: What it asked for.
        status: Of the server.
    """
    return path.endswith("/live") or status == READY or (status == DRAINING and not path.endswith("/ready"))


def metrics(texts: Iterable[str], more: Mapping[str, float]) -> str:
    """The metrics of all workers, added up: counters, histograms and gauges alike.

    Args:
        texts: In Prometheus' text format, as each worker tells its own.
        more: What the front tells of itself, by name.
    """
    families: dict[str, list[str]] = {}
    values: dict[str, dict[str, float]] = {}
    for text in texts:
        family = ""
        heads: list[str] = []
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family, heads = line.split(" ", 3)[2], [line]
            elif line.startswith("#"):
                heads.append(line)
                families.setdefault(family, heads)
            elif line:
                name, _, value = line.rpartition(" ")
                known = values.setdefault(family, {})
                known[name] = _together(name, known.get(name), float(value))
    lines: list[str] = []
    for family, heads in families.items():
        lines += [*heads, *(f"{name} {_number(value)}" for name, value in values.get(family, {}).items())]
    for name, value in more.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# TYPE {name} {kind}", f"{name} {_number(value)}"]
    return "\n".join(lines) + "\n"


def _together(name: str, before: float | None, value: float) -> float:
    if before is None:
        return value
    return max(before, value) if name.startswith(OF_THE_SERVER) else before + value


def _number(value: float) -> str:
    return repr(value)
