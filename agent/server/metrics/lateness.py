"""How late sound is taken in: each frame on the clock of its own samples, beside the fastest one of the last minute.

A frame is due when its last sample has been spoken, plus the time that the way takes at its fastest. A network that
holds packets back, a queue that builds up and a busy event loop all make frames late.
"""

# Of the timestamps that WebRTC's frames carry: RTP's, for Opus.
RTP_RATE_HZ = 48_000
# The two clocks drift apart; by then the fastest frame is another one. 100 ppm are 6 ms in a minute.
WINDOW_SECS = 30.0
# A longer gap, or one backwards, is another stream of the same caller, and nothing that was lost.
MOST_LOST_SECS = 30.0
# Half a packet: what is less comes of a resampler's rounding.
LEAST_LOST_SECS = 0.01


class Lateness:
    """Of one caller's frames."""

    def __init__(self) -> None:
        self._began_secs = float("-inf")
        self._fastest_secs = self._fastest_before_secs = float("inf")
        self._due_secs: float | None = None

    def of(self, at_secs: float, pts: int, duration_secs: float) -> tuple[float, float]:
        """Take one frame.

        Args:
            at_secs: When it was taken in, on a steady clock.
            pts: RTP's timestamp of its first sample.
            duration_secs: How long it is.

        Returns:
            How late it was and how much sound is missing before it, in seconds.
        """
        spoken_secs = pts / RTP_RATE_HZ
        gap_secs = 0.0 if self._due_secs is None else spoken_secs - self._due_secs
        if abs(gap_secs) > MOST_LOST_SECS:
            self._fastest_secs = self._fastest_before_secs = float("inf")
            gap_secs = 0.0
        self._due_secs = spoken_secs + duration_secs
        return self._behind_fastest(at_secs, at_secs - spoken_secs), gap_secs if gap_secs > LEAST_LOST_SECS else 0.0

    def _behind_fastest(self, at_secs: float, behind_secs: float) -> float:
        if at_secs - self._began_secs > WINDOW_SECS:
            self._began_secs = at_secs
            self._fastest_before_secs, self._fastest_secs = self._fastest_secs, behind_secs
        self._fastest_secs = min(self._fastest_secs, behind_secs)
        return behind_secs - min(self._fastest_secs, self._fastest_before_secs)
