"""How many turns wait for the notes that a long conversation's older turns become: none.

    uv run python -m tests.bench.compaction [--turns 14]

Each row is a conversation of long typed turns and a spoken one that are too many for the model's context, with the real
pipeline, history and HTTP; the scripted server works on notes for as long as the row says, and answers one request
after the other, or many. Each turn is compared with the same turn of a conversation whose context is large enough for
all. Time is virtual: a turn that waits for anything is late by as long as that takes, however busy the machine is.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.agent.conversation.test_long_conversation import NOTES, NotingLLM, completion, talk
from tests.bench.table import show
from tests.support.house import Held
from tests.support.virtual_time import run_in_virtual_time

# Later than the other one by more is late.
LATE_SECS = 0.001
NOTES_SECS = (0.2, 2.0, 30.0)


@dataclass(frozen=True)
class Compared:
    """One conversation beside the one without notes.

    Attributes:
        n_notes: How often notes were asked for.
        n_made: How often they were made.
        late_secs: By how much each turn was later.
    """

    n_notes: int
    n_made: int
    late_secs: Sequence[float]

    @property
    def n_late(self) -> int:
        """How many turns waited."""
        return sum(late > LATE_SECS for late in self.late_secs)


def waits_secs(held: Held) -> list[float]:
    """From the end of each turn to the first token of its answer, in the order of the turns."""
    first = [event["t"] for event in held.named("llm_first_token")]
    return [token - max(end for end in _ends(held) if end <= token) for token in first]


def _ends(held: Held) -> list[float]:
    return [event["t"] for event in held.named("turn_ended")]


async def compare(n_turns: int, notes_secs: float, *, one_by_one: bool) -> Compared:
    """Hold it with notes and without.

    Args:
        n_turns: Typed ones.
        notes_secs: How long the server works on notes.
        one_by_one: Whether it answers one request after the other.
    """
    llm = NotingLLM(completion(NOTES), notes_secs, one_by_one=one_by_one)
    changes: dict[str, Any] = {} if one_by_one else {"answers_many": True}
    with_notes = await talk(llm, n_turns, **changes)
    without = await talk(NotingLLM(completion(NOTES), one_by_one=one_by_one), n_turns, context_tokens=None, **changes)
    late = [waited - other for waited, other in zip(waits_secs(with_notes), waits_secs(without), strict=True)]
    return Compared(len(llm.for_notes()), len(with_notes.named("notes_made")), late)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=14, help="typed ones; from eight on notes are made")
    n_turns = parser.parse_args().turns
    rows: list[tuple[str, ...]] = []
    for one_by_one in (True, False):
        for notes_secs in NOTES_SECS:
            found = run_in_virtual_time(
                lambda secs=notes_secs, one=one_by_one: compare(n_turns, secs, one_by_one=one), limit_secs=3_600
            )
            server = "one request after the other" if one_by_one else "many at once"
            late = f"{found.n_late} of {len(found.late_secs)}"
            worst_ms = f"{max(found.late_secs) * 1000:.1f}"
            rows.append(
                (f"{server}, notes take {notes_secs:g} s", f"{found.n_made} of {found.n_notes}", late, worst_ms, "none")
            )
    header = ("server", "notes made", "turns delayed", "worst, ms", "target")
    show(f"{n_turns + 1} turns, more than the model's context holds", rows, header)


if __name__ == "__main__":
    main()
