"""One thing that is remembered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# A fact was asked to be remembered; user and agent are who said a turn of a conversation.
Kind = Literal["fact", "user", "agent"]
MAX_FACT_CHARS = 2_000
MAX_TURN_CHARS = 8_000
MAX_CHARS: Mapping[Kind, int] = {"fact": MAX_FACT_CHARS, "user": MAX_TURN_CHARS, "agent": MAX_TURN_CHARS}


@dataclass(frozen=True)
class Item:
    """One fact, or one side of a turn.

    Attributes:
        owner: Whose it is.
        kind: What it is.
        text: In the words that were kept.
        said_secs: When it was said, in seconds since the epoch.
        conversation: In which conversation.
        turn: In which turn of it, from 1.
        number: Names it for good; 0 before it is kept.
    """

    owner: str
    kind: Kind
    text: str
    said_secs: float
    conversation: str = ""
    turn: int = 0
    number: int = 0
