"""What the agent has really said aloud, word by word: for judging whether the user answers it, or only listens.

Written by the playout gate, read by barge-in.
"""

import time
from collections import deque
from dataclasses import dataclass

from processors.turns.echo_guard import EchoGuard

SENTENCE_ENDS = (".", "!", "?", "…", "。", "？", "！")
CLOSERS = "\"'”’)]»"
# As far back as an echo or an answer can reach.
MAX_WORDS = 200


@dataclass(frozen=True)
class HeardWord:
    """A word of the agent.

    Attributes:
        text: With its punctuation.
        sample_secs: Seconds of the agent's speech that had been released before it; silence does not count.
    """

    text: str
    sample_secs: float


class HeardSpeech:
    """The latest words that were played, over all replies."""

    def __init__(self) -> None:
        self.words: deque[HeardWord] = deque(maxlen=MAX_WORDS)
        self.spoken_secs = 0.0
        self._reply_start_secs = 0.0
        self._guard = EchoGuard()

    def begin(self) -> None:
        """The agent takes the floor."""
        self._reply_start_secs = self.spoken_secs

    @property
    def reply_secs(self) -> float:
        """How much of what it has to say now has been played."""
        return self.spoken_secs - self._reply_start_secs

    def add(self, text: str) -> None:
        """A word has been played."""
        self.words.append(HeardWord(text, self.spoken_secs))
        self._guard.agent_said(text, time.monotonic())

    def comes_back(self, text: str, voice_secs: float, *, doubted: bool = False) -> bool:
        """Whether recognized words are the agent's own, heard through the microphone.

        Args:
            text: What was recognized.
            voice_secs: How long ago that speech began.
            doubted: Whether the echo may account for what was heard.
        """
        return self._guard.is_echo(text, time.monotonic() - voice_secs, doubted=doubted)

    def asks(self) -> bool:
        """Whether the agent's last whole sentence, or all that it has said of the one after it, was a question."""
        ends = [word.text.rstrip(CLOSERS)[-1:] for word in self.words]
        whole = [end for end in ends if end in SENTENCE_ENDS and end]
        return bool(whole) and whole[-1] in "?？"
