"""How the agent speaks now: its pace and its loudness, which the user's words change from the agent's next words on.

In:  steps.   Out: the pace for text-to-speech, the gain for the playout gate.
"""

SLOWEST, FASTEST = 0.5, 2.0
QUIETEST_DB, LOUDEST_DB = -24.0, 6.0
# One step is heard, and three are much.
PACE_STEP = 1.2
GAIN_STEP_DB = 4.0


class Manner:
    """Of one conversation.

    Args:
        speed: SLOWEST to FASTEST; 1 is the voice's natural pace.
        gain_db: QUIETEST_DB to LOUDEST_DB; 0 leaves the voice as it is.

    Attributes:
        speed: The pace now.
        gain_db: The gain now.
    """

    def __init__(self, speed: float = 1.0, gain_db: float = 0.0) -> None:
        self.speed = speed
        self.gain_db = gain_db

    @property
    def gain(self) -> float:
        """The gain as a factor."""
        return 10.0 ** (self.gain_db / 20.0)

    def hasten(self, n_steps: int) -> bool:
        """Speak faster by so many steps, slower by negative ones; whether that is possible.

        Args:
            n_steps: Of PACE_STEP.
        """
        before = self.speed
        self.speed = min(FASTEST, max(SLOWEST, round(self.speed * PACE_STEP**n_steps, 2)))
        return self.speed != before

    def raise_voice(self, n_steps: int) -> bool:
        """Speak louder by so many steps, more quietly by negative ones; whether that is possible.

        Args:
            n_steps: Of GAIN_STEP_DB.
        """
        before = self.gain_db
        self.gain_db = min(LOUDEST_DB, max(QUIETEST_DB, self.gain_db + GAIN_STEP_DB * n_steps))
        return self.gain_db != before
