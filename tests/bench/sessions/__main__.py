"""`uv run python -m tests.bench.sessions [--quick] [--json FILE]`: conversations by WebRTC at the same time.

Every caller is a real WebRTC peer that speaks recorded sentences with pauses; voice activity and smart-turn are the
real models; speech-to-text, language model and voice are scripted and cost next to nothing. Sotto's wiring and
Pipecat's take turns, each in a fresh process. All callers share one further process, whose load is not the server's,
but which wants its share of the same cores.

CPU is the server process's alone, in percent of one core. Lateness: see `lateness`; the 95th percentile of the worst
session. Memory is what each session after the first adds to the server's resident size.
"""

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

import psutil
from loguru import logger

from tests.bench.sessions.report import HEADER, as_json, notes, rows
from tests.bench.sessions.run import Measured, measure
from tests.bench.sessions.server import WIRINGS, Wiring
from tests.bench.table import show

COUNTS = (1, 4, 8, 12, 16)
QUICK_COUNTS = (1, 4)


async def run(counts: Sequence[int], wirings: Sequence[Wiring], window_secs: float) -> list[Measured]:
    """Measure every number of sessions in every wiring."""
    return [await measure(wiring, count, window_secs) for count in counts for wiring in WIRINGS if wiring in wirings]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, nargs="+", help=f"how many at a time (default: {COUNTS})")
    parser.add_argument("--wirings", nargs="+", choices=WIRINGS, default=list(WIRINGS))
    parser.add_argument("--seconds", type=float, default=12.0, help="how long each is measured")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_COUNTS} sessions, six seconds each")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    logger.remove()
    # The servers log nothing either, not even what is said while modules load.
    os.environ["LOGURU_AUTOINIT"] = "0"
    counts: list[int] = options.sessions or list(QUICK_COUNTS if options.quick else COUNTS)
    window_secs = 6.0 if options.quick else options.seconds
    measured = asyncio.run(run(counts, options.wirings, window_secs))
    show(f"conversations by WebRTC, {psutil.cpu_count()} cores", rows(measured), HEADER)
    for note in notes(measured):
        print(f"! {note}")
    if options.json:
        options.json.write_text(json.dumps(as_json(measured), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
