"""What came of a load, and whether it is within the limits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# Callers that send later than this make the server's figures worse.
CALLERS_LATE_MS = 30.0


@dataclass(frozen=True)
class Limits:
    """What a server must keep for so many calls to be held.

    Attributes:
        p95_secs: Of 100 answers 95 begin no later than this after the question's last sample.
        unanswered_percent: So many of the questions may stay without an answer.
    """

    p95_secs: float = 2.0
    unanswered_percent: float = 1.0


@dataclass
class Measured:
    """What callers saw.

    Attributes:
        n_calls: How many were to be held.
        n_held: How many were let in.
        refused: How many were not, by the server's limit that said so.
        lost: Calls that ended without their callers' wish, by why.
        answer_secs: From a question's last sample to the answer's first sound, of each answered one.
        n_unanswered: Questions without an answer in time.
        n_misheard: Turns without the question's own words; ears may do that.
        n_mixed_up: Turns, or conversations, that were another caller's.
        errors: What the agent told of, by stage.
        callers_late_p95_ms: How late the callers themselves sent.
    """

    n_calls: int
    n_held: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    answer_secs: list[float] = field(default_factory=list)
    n_unanswered: int = 0
    n_misheard: int = 0
    n_mixed_up: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    callers_late_p95_ms: float = 0.0

    @property
    def n_questions(self) -> int:
        """How many were asked."""
        return len(self.answer_secs) + self.n_unanswered

    def percentile_secs(self, percent: float) -> float | None:
        """Of the answers; None without any."""
        return percentile(self.answer_secs, percent) if self.answer_secs else None

    def problems(self, limits: Limits) -> list[str]:
        """What is beyond the limits, one line each; nothing where all is within them."""
        found = [f"{n} of {self.n_calls} calls were refused: {limit}" for limit, n in self.refused.items()]
        found += [f"{n} calls were lost: {why}" for why, n in self.lost.items()]
        if self.n_mixed_up:
            found.append(f"{self.n_mixed_up} turns were another caller's")
        p95_secs = self.percentile_secs(95)
        if p95_secs is None:
            found.append("no question was answered")
        elif p95_secs > limits.p95_secs:
            found.append(f"answers began after {p95_secs:.2f} s (p95); the limit is {limits.p95_secs:g} s")
        if self.n_unanswered * 100 > limits.unanswered_percent * self.n_questions:
            found.append(
                f"{self.n_unanswered} of {self.n_questions} questions were not answered; "
                f"the limit is {limits.unanswered_percent:g} %"
            )
        return found

    def notes(self) -> list[str]:
        """What the reader has to know besides."""
        if self.callers_late_p95_ms <= CALLERS_LATE_MS:
            return []
        return [f"the callers themselves were {self.callers_late_p95_ms:.0f} ms late (p95): call from another machine"]

    def as_json(self, limits: Limits) -> dict[str, Any]:
        """All of it, for a program."""
        return {
            "calls": self.n_calls,
            "held": self.n_held,
            "refused": dict(self.refused),
            "lost": dict(self.lost),
            "questions": self.n_questions,
            "answered": len(self.answer_secs),
            "misheard": self.n_misheard,
            "mixed_up": self.n_mixed_up,
            "voice_to_voice_secs": {
                name: self.percentile_secs(percent) for name, percent in (("p50", 50), ("p95", 95), ("max", 100))
            },
            "errors": dict(self.errors),
            "callers_late_p95_ms": round(self.callers_late_p95_ms, 1),
            "problems": self.problems(limits),
            "notes": self.notes(),
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which that share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
