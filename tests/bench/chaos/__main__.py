"""Holds an hour made by chance, and prints what it was like and what did not hold.

uv run python -m tests.bench.chaos --seed 7 --mins 60
"""

import argparse
import sys
import time

from tests.bench.chaos.hour import FAULT_EVERY_SECS, N_CALLERS, Report, hold_hour
from tests.bench.chaos.weather import all_faults


def main() -> int:
    """The exit status is 1 if something did not hold."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mins", type=float, default=60.0)
    parser.add_argument("--callers", type=int, default=N_CALLERS)
    parser.add_argument("--fault-every", type=float, default=FAULT_EVERY_SECS, help="seconds, on average; 0: never")
    parser.add_argument("--limit-secs", type=float, default=1800.0)
    arguments = parser.parse_args()
    began_secs = time.process_time()
    report = Report(arguments.seed, arguments.mins, arguments.callers, arguments.fault_every)
    hold_hour(report, limit_secs=arguments.limit_secs)
    for name, n in sorted(report.counts.items()):
        print(f"{name:32} {n}")
    print(f"{'kinds of faults':32} {len(report.struck)} of {len(all_faults())}")
    print(f"{'minutes of calls':32} {report.session_secs / 60:.1f}")
    print(f"{'lines of log':32} {report.n_log_lines}")
    print(f"{'bytes of log':32} {report.n_log_bytes}")
    print(f"{'seconds of CPU':32} {time.process_time() - began_secs:.0f}")
    for problem in report.problems:
        print(f"\n{problem}")
    print(f"\n{len(report.problems)} problems")
    return bool(report.problems)


if __name__ == "__main__":
    sys.exit(main())
