"""Which of the items that an owner has are looked at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Which of an owner's items may be found.

    Attributes:
        since_secs: Said not before, in seconds since the epoch.
        until_secs: Said before.
        without: A conversation's id: its latest turns are left out, facts are not; empty: nothing is.
        n_turns: How many turns of it are left out.
        facts_alone: Whether turns of all conversations are left out.
    """

    since_secs: float = float("-inf")
    until_secs: float = float("inf")
    without: str = ""
    n_turns: int = 0
    facts_alone: bool = False


EVERYTHING = Bounds()
