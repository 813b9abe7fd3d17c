"""Prints the fault table: every engine x every fault, and which test holds each cell.

uv run python -m tests.bench.faults
uv run pytest tests -k fault                 holds it
"""

from tests.bench.table import show
from tests.support.fault_table import FAULTS, Cannot, rows


def main() -> None:
    """Print it; reasons stand below it."""
    reasons: list[str] = []
    shown: list[list[str]] = []
    for row, cells in rows().items():
        line = [row]
        for fault in FAULTS:
            cell = cells[fault]
            if isinstance(cell, Cannot):
                if cell.why not in reasons:
                    reasons.append(cell.why)
                line.append(f"- ({reasons.index(cell.why) + 1})")
            else:
                line.append(str(cell))
        shown.append(line)
    show("Faults", shown, ("engine", *FAULTS))
    for number, reason in enumerate(reasons, 1):
        print(f"({number}) {reason}")


if __name__ == "__main__":
    main()
