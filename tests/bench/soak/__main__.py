"""Four calls for a long time: `uv run python -m tests.bench.soak [--mins 20] [--json FILE]`.

Real server, WebRTC, WebSocket, Silero and smart-turn; scripted ears, voice and language model. Callers talk over
answers, interrupt, type, leave and come again; a visitor types, uploads and opens the page; the language model answers
shortly, at length, or not at all.

Told: the slope of memory after the first ten minutes (half of shorter soaks) with its 95 % interval, how late
microphone frames are at the beginning and at the end, and what is left over once all have left. Exit 1 if memory
certainly grows by more than the target, something is left over, or a call was lost.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from loguru import logger

from tests.bench.soak.run import Sample, Soaked, more, soak
from tests.bench.soak.slope import slope
from tests.bench.table import median, show

SETTLE_SECS = 600.0
TARGET_MB_AN_HOUR = 1.0
# Sound that is so late waits in memory, a little of it in each step: that is no leak.
KEPT_UP_MS = 1000.0


def settled(samples: Sequence[Sample]) -> list[Sample]:
    """Those after the first ten minutes, or after the half of a shorter soak."""
    until_secs = min(SETTLE_SECS, samples[-1].at_secs / 2)
    return [sample for sample in samples if sample.at_secs > until_secs]


def lateness(samples: Sequence[Sample]) -> float:
    """The median of the samples' lateness, milliseconds."""
    return median([sample.late_p95_ms for sample in samples if sample.late_p95_ms is not None] or [0.0])


def failures(soaked: Soaked) -> list[str]:
    """What is wrong, in words; nothing if all is well."""
    found = list(soaked.calls.failures)
    kept = settled(soaked.samples)
    growth = slope([sample.at_secs for sample in kept], [sample.memory_mb for sample in kept])
    if growth.least > TARGET_MB_AN_HOUR:
        found.append(f"memory grows by {growth} MB an hour{not_kept_up(kept)}")
    if soaked.before and soaked.after:
        found += [f"left over: {what}" for what in more(soaked.before, soaked.after)]
    return found


def not_kept_up(samples: Sequence[Sample]) -> str:
    """What must be said of growth if the machine was too busy for the calls; nothing if it was not."""
    worst_ms = max((sample.late_p95_ms for sample in samples if sample.late_p95_ms is not None), default=0.0)
    if worst_ms <= KEPT_UP_MS:
        return ""
    return f"; sound was {worst_ms / 1000:.1f} s late and waited in memory: soak again while nothing else runs"


def report(soaked: Soaked) -> list[tuple[str, str, str]]:
    """The table's rows."""
    kept = settled(soaked.samples)
    growth = slope([sample.at_secs for sample in kept], [sample.memory_mb for sample in kept])
    n_third = max(1, len(kept) // 3)
    left = more(soaked.before, soaked.after) if soaked.before and soaked.after else ["not known"]
    return [
        (
            "calls, visits, questions to the model",
            f"{soaked.calls.n_calls}, {soaked.calls.n_visits}, {soaked.n_asked}",
            "",
        ),
        ("memory after the warm-up, at the end", f"{kept[0].memory_mb:.1f}, {kept[-1].memory_mb:.1f} MB", ""),
        ("growth an hour (95 %)", f"{growth} MB{not_kept_up(kept)}", f"< {TARGET_MB_AN_HOUR:.0f} MB"),
        (
            "lateness p95, first and last third",
            f"{lateness(kept[:n_third]):.1f}, {lateness(kept[-n_third:]):.1f} ms",
            "unchanged",
        ),
        ("descriptors, threads at most", f"{max(s.n_descriptors for s in kept)}, {max(s.n_threads for s in kept)}", ""),
        ("left over", "; ".join(left) or "nothing", "nothing"),
        ("log", f"{soaked.log_bytes / 1000:.0f} kB", ""),
        ("failures", str(len(soaked.calls.failures)), "0"),
    ]


def tell(sample: Sample) -> None:
    """One line a minute."""
    if round(sample.at_secs) % 60 == 0:
        late = "-" if sample.late_p95_ms is None else f"{sample.late_p95_ms:.1f}"
        print(
            f"{sample.at_secs / 60:4.0f} min {sample.memory_mb:7.1f} MB, {late} ms late,"
            f" {sample.n_descriptors} descriptors, {sample.n_threads} threads",
            flush=True,
        )


def main() -> None:
    """Soak and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mins", type=float, default=20.0, help="how long (default: 20)")
    parser.add_argument("--json", type=Path, help="also write all samples to this file")
    options = parser.parse_args()
    if options.mins < 3:
        parser.error("--mins: at least 3; less tells no slope")
    logger.remove()
    soaked = asyncio.run(soak(options.mins, tell))
    if options.json:
        options.json.write_text(json.dumps([asdict(sample) for sample in soaked.samples]) + "\n", encoding="utf-8")
    show(f"{options.mins:g} minutes, four calls", report(soaked))
    wrong = failures(soaked)
    for line in wrong:
        print(f"! {line}")
    if wrong and soaked.before and soaked.after:
        print(f"tasks before: {soaked.before.tasks}\ntasks after: {soaked.after.tasks}")
        print(f"threads before: {soaked.before.threads}\nthreads after: {soaked.after.threads}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
