"""`uv run python -m tests.bench.sessions [--quick | --find] [--base REV] [--json FILE]`: many calls by WebRTC at once.

Every caller is a real WebRTC peer that speaks recorded sentences with pauses; voice activity and smart-turn are the
real models; speech-to-text, language model and voice are scripted and cost next to nothing. Sotto's wiring and
Pipecat's take turns, each in a fresh process. All callers share one further process, whose load is not the server's,
but which wants its share of the same cores.

CPU is the server process's alone, in percent of one core. Lateness: see `lateness`; the 95th percentile of the worst
session. Memory is what each session after the first adds to the server's resident size.

With `--base` the house of that revision takes its turn, too. `--find` tells the most calls that each carries with a
lateness below the target in every one of `--runs`; that takes half an hour.
"""

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import psutil
from loguru import logger

from tests.bench.sessions.find import most_carried
from tests.bench.sessions.report import HEADER, TARGET_MS, as_json, notes, rows
from tests.bench.sessions.revision import unpacked
from tests.bench.sessions.run import Build, Measured, measure
from tests.bench.sessions.server import WIRINGS, Wiring
from tests.bench.table import show
from tests.conftest import REPOSITORY

COUNTS = (1, 4, 8, 12, 16)
QUICK_COUNTS = (1, 4)


async def run(counts: Sequence[int], builds: Sequence[Build], window_secs: float) -> list[Measured]:
    """Measure every number of sessions in every build."""
    return [await measure(build, count, window_secs) for count in counts for build in builds]


async def find(builds: Sequence[Build], most: int, runs: int, window_secs: float) -> list[tuple[str, ...]]:
    """How many calls each build carries; a row for each."""
    found: list[tuple[str, ...]] = []
    for build in builds:
        n = await most_carried(build, most, runs, partial(measure, window_secs=window_secs), print)
        found.append((build.name, str(n)))
    return found


def builds_of(wirings: Sequence[Wiring], base: str, folder: Path) -> list[Build]:
    """Those that are measured, in the order of their turns."""
    builds = [Build(wiring) for wiring in WIRINGS if wiring in wirings]
    if base:
        builds.insert(len(builds) - 1, Build("ours", unpacked(REPOSITORY, base, folder), base))
    return builds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, nargs="+", help=f"how many at a time (default: {COUNTS})")
    parser.add_argument("--wirings", nargs="+", choices=WIRINGS, default=list(WIRINGS))
    parser.add_argument("--base", default="", help="a revision of the house to compare with")
    parser.add_argument("--find", action="store_true", help="the most calls that each carries")
    parser.add_argument("--most", type=int, default=24, help="no more are tried by --find")
    parser.add_argument("--runs", type=int, default=5, help="of each number, by --find")
    parser.add_argument("--seconds", type=float, default=12.0, help="how long each is measured")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_COUNTS} sessions, six seconds each")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    logger.remove()
    # The servers log nothing either, not even what is said while modules load.
    os.environ["LOGURU_AUTOINIT"] = "0"
    counts: list[int] = options.sessions or list(QUICK_COUNTS if options.quick else COUNTS)
    window_secs = 6.0 if options.quick else options.seconds
    with tempfile.TemporaryDirectory() as folder:
        builds = builds_of(options.wirings, options.base, Path(folder))
        if options.find:
            found = asyncio.run(find(builds, options.most, options.runs, window_secs))
            title = f"calls by WebRTC, lateness p95 < {TARGET_MS:.0f} ms in {options.runs} of {options.runs} runs"
            show(f"{title}, {psutil.cpu_count()} cores", found, ("wiring", "most calls"))
            return
        measured = asyncio.run(run(counts, builds, window_secs))
    show(f"conversations by WebRTC, {psutil.cpu_count()} cores", rows(measured), HEADER)
    for note in notes(measured):
        print(f"! {note}")
    if options.json:
        options.json.write_text(json.dumps(as_json(measured), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
