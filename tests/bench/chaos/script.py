"""What callers do, drawn by chance: each from the hour's seed alone, so that a shorter hour begins the same."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from tests.support.dynamics_scenario import After

Kind = Literal["words", "backchannel", "command", "laugh", "cough", "typed", "written", "key", "start over"]
Leaving = Literal["says goodbye", "hangs up", "is gone", "joins again"]

KINDS: tuple[Kind, ...] = (
    *("words", "words", "words", "words", "words", "words"),
    *("typed", "typed", "written", "written"),
    *("backchannel", "command", "laugh", "cough", "key"),
)
AFTERS: dict[str, tuple[After, ...]] = {
    "voice": ("idle", "idle", "said", "reply", "reply", "thinking"),
    "hands": ("idle", "now", "reply", "thinking", "token"),
}
# Who talks, rushes and rests: that several talk at once, and that nobody does, takes turns.
RUSH_SECS, REST_SECS = (20, 50), (180, 380)
OPTIONS: dict[str, tuple[Any, ...]] = {
    "turn.mode": ("open", "open", "open", "push_to_talk"),
    "turn.barge_in": ("words", "words", "voice"),
    "turn.pace": ("brisk", "normal", "patient"),
    "turn.speculate": (True, False),
    "dialogue.filler": ("off", "off", "words"),
    "tts.speed": (1.0, 1.2),
}


@dataclass(frozen=True)
class Deed:
    """One thing that a caller does, `delay_ms` after what it waits for."""

    kind: Kind
    after: After
    delay_ms: int


@dataclass(frozen=True)
class Visit:
    """One call.

    Attributes:
        wait_ms: Before it begins.
        goes_on: Whether it takes up the caller's latest conversation.
        leaving: How it ends; who says goodbye asks one thing more in peace, and waits for the answer.
    """

    wait_ms: int
    goes_on: bool
    record: bool
    options: dict[str, Any] = field(default_factory=dict)
    deeds: tuple[Deed, ...] = ()
    leaving: Leaving = "says goodbye"


def visits(seed: int, caller: int) -> Iterator[Visit]:
    """The calls of one caller, without end."""
    rng = Random(f"{seed} {caller}")
    while True:
        yield _visit(rng)


def rushes(seed: int) -> Iterator[tuple[float, float]]:
    """When callers call: (from, until) in seconds from the hour's beginning, without end."""
    rng = Random(f"{seed} rushes")
    at_secs = 0.0
    while True:
        until_secs = at_secs + rng.uniform(*RUSH_SECS)
        yield at_secs, until_secs
        at_secs = until_secs + rng.uniform(*REST_SECS)


def _visit(rng: Random) -> Visit:
    options = {key: rng.choice(values) for key, values in OPTIONS.items() if rng.random() < 0.4}
    return Visit(
        wait_ms=rng.randrange(0, 15_000, 50),
        goes_on=rng.random() < 0.6,
        record=rng.random() < 0.3,
        options=options,
        deeds=(Deed("words", "idle", 0), *(_deed(rng) for _ in range(rng.randint(0, 5)))),
        leaving=rng.choice(("says goodbye", "says goodbye", "hangs up", "is gone", "joins again")),
    )


def _deed(rng: Random) -> Deed:
    kind: Kind = "start over" if rng.random() < 0.03 else rng.choice(KINDS)
    hands = kind in ("typed", "written", "key", "start over")
    return Deed(kind, rng.choice(AFTERS["hands" if hands else "voice"]), rng.randrange(0, 2_000, 50))
