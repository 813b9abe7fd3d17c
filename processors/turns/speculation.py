"""What has been tried on a turn that is not over yet: one answer at a time, and not too many.

Words that differ in case and punctuation only are the same words.

Pipecat's language model service holds a speculative reply back at its own exit, where it has not been spoken yet. Here
it goes on through text-to-speech and waits, by the same rules, in the playout gate: what is released is sound.
"""

from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    Frame,
    InterruptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.turns.speculation_gate import GatedFrame, SpeculationGate

from processors.text.bare_words import bare


class Speculation:
    """The speculative answer of one turn.

    Args:
        most: How many may be begun in one turn; 0 switches speculation off.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._n_begun = 0
        self._text: str | None = None
        self._kept: str | None = None

    @property
    def in_flight(self) -> bool:
        """Whether an answer is being prepared, or waits."""
        return self._text is not None

    def answers(self, text: str) -> bool:
        """Whether what is in flight is the answer to these words."""
        return self._text is not None and bare(self._text) == bare(text)

    def allow(self, most: int) -> None:
        """Another number of them in a turn, from the next turn on.

        Args:
            most: As at the start.
        """
        self._most = most

    def may_begin(self) -> bool:
        """Whether another one is allowed in this turn."""
        return self._n_begun < self._most

    def begin(self, text: str) -> None:
        """An answer to these words is being prepared."""
        self._n_begun += 1
        self._text = text

    def keep(self) -> None:
        """The turn is over, and what is in flight is its answer."""
        self._text, self._kept = None, self._text

    def end(self) -> None:
        """It has been thrown away, or cut."""
        self._text, self._kept = None, None

    def give_up(self, text: str) -> bool:
        """No more in this turn: the answer does something, which must wait for the turn's end.

        Args:
            text: The last words of the history that it answers, which may begin before the turn; nothing happens where
                another answer has taken its place by now.

        Returns:
            Whether the turn was over by then, with that answer: it has none now.
        """
        if self._kept is not None and bare(text).endswith(bare(self._kept)):
            self._kept = None
            return True
        if self._text is not None and bare(text).endswith(bare(self._text)):
            self._text = None
            self._n_begun = self._most
        return False

    def next_turn(self) -> None:
        """Begin to count anew."""
        self._n_begun = 0
        self._text = None


class OpenSpeculationGate(SpeculationGate):
    """Holds nothing back, and still knows whether the turn that is being answered is over.

    The language model service asks it before it runs a tool.
    """

    def process(self, frame: Frame, direction: FrameDirection) -> list[GatedFrame]:
        """Let every frame through.

        Args:
            frame: The frame on its way.
            direction: Where it goes.
        """
        if direction is FrameDirection.DOWNSTREAM:
            if isinstance(frame, UserStartedSpeakingFrame):
                self._turn_ended = False
            elif isinstance(frame, UserStoppedSpeakingFrame):
                self._turn_ended = True
                self._speculating = False
            elif isinstance(frame, (EagerEndOfTurnCancelFrame, InterruptionFrame)):
                self._speculating = False
        return [(frame, direction)]
