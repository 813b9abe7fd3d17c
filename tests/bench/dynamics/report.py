"""The table: what was measured in both wirings, side by side with the targets, and the same as JSON.

In:  lists of Measured.   Out: rows, notes on what missed its target, and a JSON object.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.dynamics.measure import Measured
from tests.bench.table import median, percentile

Group = Sequence[Measured]
# The most that either profile may take above what cannot be avoided.
EXCESS_SECS = 0.060
# The sound card may run dry where the event loop is later than this: the scene says more of the machine than of us.
DISTURBED_SECS = 0.060


@dataclass(frozen=True)
class Bound:
    """A target: the value is to be at most this, or at most so many times stock's."""

    limit: float | None = None
    of_stock: float | None = None

    def met(self, value: float, stock: float | None) -> bool | None:
        """Whether a value meets it; None where that cannot be told."""
        if self.limit is not None:
            return value <= self.limit
        return None if stock is None or self.of_stock is None else value <= self.of_stock * stock


@dataclass(frozen=True)
class Figure:
    """A row of the table.

    Attributes:
        read: The value of a group of scenes; None where there is nothing to measure.
        unit: `ms` (values are seconds), `share` (0 to 1), `words` or `times`.
        missed_by: Which scenes stand in the way; only asked where the target is missed.
    """

    label: str
    read: Callable[[Group], float | None]
    unit: str
    bound: Bound | None = None
    missed_by: Callable[[Measured], str | None] = lambda _: None


def seconds_of(field: str, *kinds: str) -> Callable[[Group], list[float]]:
    """All values of a field that were measured, in scenes of some kinds or of any."""

    def values(group: Group) -> list[float]:
        found = [getattr(one, field) for one in group if not kinds or one.kind in kinds]
        return [float(value) for value in found if value is not None]

    return values


def middle(field: str, *kinds: str) -> Callable[[Group], float | None]:
    """The median of a field."""
    return lambda group: median(values) if (values := seconds_of(field, *kinds)(group)) else None


def p95(field: str, *kinds: str) -> Callable[[Group], float | None]:
    """The 95th percentile of a field."""
    return lambda group: percentile(values, 95) if (values := seconds_of(field, *kinds)(group)) else None


def worst(field: str, *kinds: str) -> Callable[[Group], float | None]:
    """The greatest value of a field."""
    return lambda group: max(seconds_of(field, *kinds)(group), default=None)


def mean(field: str, *kinds: str) -> Callable[[Group], float | None]:
    """The mean of a field; for truth values, their share."""
    return lambda group: sum(values) / len(values) if (values := seconds_of(field, *kinds)(group)) else None


def later_than(limit_secs: float) -> Callable[[Group], float | None]:
    """The share of questions that were answered later, or not at all."""

    def share(group: Group) -> float | None:
        asked = [one for one in group if one.kind == "question"]
        return sum(late(one, limit_secs) for one in asked) / len(asked) if asked else None

    return share


def late(one: Measured, limit_secs: float) -> bool:
    """Whether an answer came later, or never; an answer before the end is counted elsewhere."""
    if one.cut_off:
        return False
    return one.voice_to_voice_secs is None or one.voice_to_voice_secs > limit_secs


def per_turn(count: Callable[[Measured], int], *kinds: str) -> Callable[[Group], float | None]:
    """A count per turn of the user, in scenes of some kinds or of any."""

    def average(group: Group) -> float | None:
        counted = [one for one in group if not kinds or one.kind in kinds]
        return sum(map(count, counted)) / sum(one.n_turns for one in counted) if counted else None

    return average


def off_by_one(group: Group) -> float | None:
    """The greatest deviation from one reply a turn."""
    return max((abs(one.n_replies - one.n_turns) for one in group if one.kind in ONE_REPLY), default=None)


def _slow(one: Measured) -> str | None:
    if one.kind != "question" or not late(one, 1.0):
        return None
    waited = one.voice_to_voice_secs
    return f"{one.name}: " + (f"{waited * 1000:.0f} ms" if waited is not None else "no answer")


def _where(field: str, limit: float = 0.0, *, unit: str = "") -> Callable[[Measured], str | None]:
    def note(one: Measured) -> str | None:
        value = getattr(one, field)
        if value is None or value <= limit:
            return None
        return one.name if isinstance(value, bool) else f"{one.name}: {shown(float(value), unit)}"

    return note


def _not_one(one: Measured) -> str | None:
    off = one.kind in ONE_REPLY and one.n_replies != one.n_turns
    return f"{one.name}: {one.n_replies}" if off else None


OVER = ("backchannel", "noise")
# "Stop" may be answered by silence, so barge-ins are owed no reply.
ONE_REPLY = ("question", "hesitating", *OVER)


def figures(profile: str) -> list[Figure]:
    """The rows for a profile, with the targets that hold for it."""
    limits = {"laptop": Bound(of_stock=0.6), "gpu": Bound(0.400), "bundled": Bound(1.2)}
    scripted = profile != "bundled"
    excess = Bound(EXCESS_SECS) if scripted else None
    return [
        Figure("voice-to-voice, median", middle("voice_to_voice_secs", "question"), "ms", limits[profile]),
        Figure("voice-to-voice, p95", p95("voice_to_voice_secs", "question"), "ms"),
        Figure("  of it until the turn is judged over", middle("decision_secs", "question"), "ms"),
        Figure("  of it not endpointing", middle("rest_secs", "question"), "ms"),
        Figure("  above max(decision, three delays)", middle("excess_secs", "question"), "ms", excess),
        Figure(
            "questions answered later than 1.0 s", later_than(1.0), "share", Bound(0.0) if scripted else None, _slow
        ),
        Figure("questions answered later than 1.5 s", later_than(1.5), "share"),
        Figure("whole questions cut off", mean("cut_off", "question"), "share", None),
        Figure("hesitating speakers cut off", mean("cut_off", "hesitating"), "share", Bound(0.05), _hesitating_cut_off),
        Figure("answer to hesitating speakers, median", middle("voice_to_voice_secs", "hesitating"), "ms"),
        Figure("barge-in to ducked, median", middle("ducked_secs", "barge_in"), "ms", Bound(0.150)),
        Figure("barge-in to ducked, p95", p95("ducked_secs", "barge_in"), "ms"),
        Figure("barge-in to silent, median", middle("silent_secs", "barge_in"), "ms", Bound(of_stock=1.0)),
        Figure("barge-in to silent, p95", p95("silent_secs", "barge_in"), "ms"),
        Figure("barge-ins missed", mean("missed", "barge_in"), "share", Bound(0.02), _where("missed")),
        Figure("barge-ins whose words became a turn", mean("words_arrived", "barge_in"), "share"),
        Figure("backchannels that end the turn", mean("ended_turn", "backchannel"), "share"),
        Figure("noises that end the turn", mean("ended_turn", "noise"), "share"),
        Figure("  both", mean("ended_turn", *OVER), "share", Bound(0.02), _where("ended_turn")),
        Figure("pause by a backchannel, median", middle("pause_secs", "backchannel"), "ms", Bound(0.500)),
        Figure(
            "pause by a backchannel or noise, longest",
            worst("pause_secs", *OVER),
            "ms",
            Bound(0.500),
            _where("pause_secs", 0.5, unit="ms"),
        ),
        Figure("lost on resume, most", worst("lost_secs", *OVER), "ms", Bound(0.020), _where("lost_secs", 0.02)),
        Figure(
            "repeated on resume, most", worst("repeated_secs", *OVER), "ms", Bound(0.020), _where("repeated_secs", 0.02)
        ),
        Figure(
            "history against heard, worst",
            worst("history_difference"),
            "words",
            Bound(1.0),
            _where("history_difference", 1, unit="words"),
        ),
        Figure("replies in history per turn", per_turn(lambda one: one.n_replies, *ONE_REPLY), "times"),
        Figure("  deviation from one, worst", off_by_one, "times", Bound(0.0), _not_one),
        Figure(
            "language model asked beyond once per turn", per_turn(lambda one: one.n_requests - one.n_turns), "times"
        ),
        Figure("speculations kept per turn", per_turn(lambda one: one.n_kept), "times"),
        Figure("speculations thrown away per turn", per_turn(lambda one: one.n_thrown_away), "times"),
    ]


def _hesitating_cut_off(one: Measured) -> str | None:
    return one.name if one.kind == "hesitating" and one.cut_off else None


def shown(value: float | None, unit: str) -> str:
    """A value as the table shows it."""
    if value is None:
        return "-"
    if unit == "ms":
        return f"{value * 1000:.0f} ms"
    if unit == "share":
        return f"{value:.0%}"
    return f"{value:.0f} {unit}" if unit == "words" else f"{value:.2f}"


def rows(profile: str, stock: Group, ours: Group) -> list[tuple[str, ...]]:
    """The table: figure, stock, ours, ratio, target, whether it is met."""
    table: list[tuple[str, ...]] = []
    for figure in figures(profile):
        before, after = figure.read(stock), figure.read(ours)
        if before is None and after is None:
            continue
        ratio = f"{after / before:.2f}" if before and after is not None and figure.unit == "ms" else ""
        table.append(
            (
                figure.label,
                shown(before, figure.unit),
                shown(after, figure.unit),
                ratio,
                _target(figure),
                _mark(figure, after, before),
            )
        )
    return table


def notes(profile: str, stock: Group, ours: Group) -> list[str]:
    """For each of our figures that misses its target: by how much, and which scenes stand in the way."""
    lines: list[str] = []
    for figure in figures(profile):
        before, after = figure.read(stock), figure.read(ours)
        if figure.bound is None or after is None or figure.bound.met(after, before) is not False:
            continue
        causes = [cause for one in ours if (cause := figure.missed_by(one))]
        causes += _in_the_way(figure.label.strip(), ours)
        what = f"{figure.label.strip()}: {shown(after, figure.unit)}, {_target(figure)}"
        lines.append(f"{what}: {'; '.join(causes)}" if causes else what)
    return lines


def _in_the_way(label: str, ours: Group) -> list[str]:
    """What no wiring could save of a figure, where something can be said of that."""
    if label == "voice-to-voice, median":
        spans = [
            one.voice_to_voice_secs - one.excess_secs
            for one in ours
            if one.voice_to_voice_secs is not None and one.excess_secs is not None
        ]
        return [f"decision or engines, whichever takes longer, are {shown(median(spans), 'ms')} of it"] if spans else []
    if label == "barge-in to ducked, median":
        return ["windows of 32 ms, the device's blocks of 20 ms both ways and the gate's lead of 40 ms add up to it"]
    return []


def disturbances(stock: Group, ours: Group) -> list[str]:
    """Scenes in which the machine was too busy to be measured on."""
    return [
        f"{wiring}, {one.name}: event loop {shown(one.lag_secs, 'ms')} late"
        for wiring, group in (("stock", stock), ("ours", ours))
        for one in group
        if one.lag_secs > DISTURBED_SECS
    ]


def as_json(profile: str, stock: Group, ours: Group) -> dict[str, Any]:
    """Figures and scenes of both wirings; times are seconds."""
    return {
        "figures": [
            {
                "label": figure.label.strip(),
                "unit": "secs" if figure.unit == "ms" else figure.unit,
                "stock": (before := figure.read(stock)),
                "ours": (after := figure.read(ours)),
                "target": _target(figure),
                "met": figure.bound.met(after, before) if figure.bound and after is not None else None,
            }
            for figure in figures(profile)
        ],
        "scenes": {"stock": [asdict(one) for one in stock], "ours": [asdict(one) for one in ours]},
    }


def _target(figure: Figure) -> str:
    if figure.bound is None:
        return ""
    if figure.bound.limit is not None:
        return f"≤ {shown(figure.bound.limit, figure.unit)}"
    return f"≤ {figure.bound.of_stock:g} x stock"


def _mark(figure: Figure, ours: float | None, stock: float | None) -> str:
    met = figure.bound.met(ours, stock) if figure.bound and ours is not None else None
    return "" if met is None else "✓" if met else "✗"
