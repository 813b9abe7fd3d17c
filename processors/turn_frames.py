"""Frames between endpointing and speech-to-text: the turn is judged over, and there were no words in it.

A pause is looked at by both at once. Only when endpointing has decided are the words published, so that a speaker who
pauses and goes on gets one turn with all the words.
"""

from dataclasses import dataclass

from pipecat.frames.frames import SystemFrame


@dataclass
class TurnDecidedFrame(SystemFrame):
    """Upstream: the user's turn is judged over; speech-to-text answers with its transcript, or with NoWordsFrame."""


@dataclass
class PauseTranscriptFrame(SystemFrame):
    """Downstream: the words of the turn so far, worked out at a pause; nothing of that pause is still on its way.

    Attributes:
        text: Empty where nothing was recognized.
        language: ISO 639-1 code where the recognizer knows it.
    """

    text: str = ""
    language: str | None = None


@dataclass
class NoWordsFrame(SystemFrame):
    """Downstream: nothing was recognized since the last transcript, and nothing is on its way."""
