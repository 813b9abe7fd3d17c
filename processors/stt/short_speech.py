"""Whether what was said is too short to be meant: a word of the television, a door, a sigh.

In:  the voice of a turn, stretch by stretch.   Out: how long it was, and whether that is too short.
"""

from loguru import logger

from processors.stt.recognizer import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ


class ShortSpeech:
    """Counts the voice of one turn; pauses between its stretches do not count.

    Args:
        min_secs: Less voice than this is skipped; 0 skips nothing.

    Attributes:
        min_secs: As given; may be changed.
    """

    def __init__(self, min_secs: float) -> None:
        self.min_secs = min_secs
        self._voiced_secs = 0.0

    @property
    def is_skipped(self) -> bool:
        """Whether the turn's voice up to now is too short to be meant."""
        return self._voiced_secs < self.min_secs

    def begin(self, start_secs: float) -> None:
        """A stretch was noticed after so much voice."""
        self._voiced_secs += start_secs

    def add(self, pcm16: bytes) -> None:
        """It goes on."""
        self._voiced_secs += len(pcm16) / BYTES_PER_SAMPLE / SAMPLE_RATE_HZ

    def end(self, stop_secs: float) -> None:
        """It is over, noticed after so much silence that was counted as voice."""
        self._voiced_secs = max(0.0, self._voiced_secs - stop_secs)

    def next_turn(self) -> None:
        """Begin to count anew."""
        self._voiced_secs = 0.0

    def tell(self) -> None:
        """Say in the log what is skipped, and why."""
        logger.info(
            f"{self._voiced_secs:.2f} s of speech was skipped: turn.min_speech_secs is {self.min_secs:g}, and what is "
            "shorter is not answered"
        )
