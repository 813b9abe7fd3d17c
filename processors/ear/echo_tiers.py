"""Which measure against the echo is taken, chosen by what is measured.

In:  an EchoMeter after each 10 ms.   Out: a tier, whether the canceller has converged.

A tier is entered and left at different values, so that it does not flap. All times count blocks of playback.
"""

from typing import Literal

from processors.ear.echo_meter import BLOCKS_PER_SEC, LOUD_ECHO_DB, EchoMeter
from processors.frames import EchoTier

EchoMode = Literal["auto", "off", "half_duplex", "cancel"]

# Echo reduction under which the canceller is no help, and from which it is again.
POOR_ERLE_DB = 8.0
GOOD_ERLE_DB = 12.0
POOR_BLOCKS = 3 * BLOCKS_PER_SEC
# So much playback with echo the canceller needs to converge.
WARM_UP_BLOCKS = BLOCKS_PER_SEC
_WARM_ERLE_BLOCKS = BLOCKS_PER_SEC // 4
# There is an echo when the prediction goes up and down with the microphone and stands out of the noise.
PRESENT_LIKENESS = 0.7
ABSENT_LIKENESS = 0.3
PRESENT_DB = 3.0
ABSENT_DB = 0.0
SILENT_DB = 6.0
# A user who speaks over the agent looks like an echo, or hides one, for a moment.
PRESENT_BLOCKS = 2 * BLOCKS_PER_SEC
ABSENT_BLOCKS = 3 * BLOCKS_PER_SEC
# Judged often enough; each look at the meter costs as much as a block.
_BLOCKS_PER_LOOK = 10


class TierChoice:
    """Chooses the tier.

    Args:
        mode: `auto` measures; the others force a tier.

    Attributes:
        tier: The present one.
        warmed_up: Whether voice over the agent can be trusted to be the user's; before, it takes words.
    """

    def __init__(self, mode: EchoMode = "auto") -> None:
        self._mode = mode
        self.tier = {"off": EchoTier.OFF, "half_duplex": EchoTier.HALF_DUPLEX}.get(mode, EchoTier.CANCEL)
        self.warmed_up = mode == "off"
        self._n_with_echo = 0
        self._n_before = 0
        self._n_present = 0
        self._n_absent = 0
        self._known = False
        # What had been rated when the canceller's latest warm-up began.
        self._n_rated_before = 0

    def slip(self, meter: EchoMeter) -> bool:
        """The device has lost samples, and the canceller has to find the echo again.

        Returns:
            Whether `warmed_up` has changed.
        """
        if self._mode in ("off", "half_duplex") or self.tier is EchoTier.NONE:
            return False
        changed, self.warmed_up = self.warmed_up, False
        # What is predicted from the delay before says nothing about whether there is an echo.
        self._n_with_echo = self._n_absent = 0
        self._n_rated_before = meter.n_rated
        return changed

    def look(self, meter: EchoMeter) -> bool:
        """Judge after a block.

        Returns:
            Whether `tier` or `warmed_up` has changed.
        """
        if self._mode in ("off", "half_duplex") or meter.n_played == self._n_before:
            return False
        self._n_before = meter.n_played
        self._n_with_echo += 1
        if meter.n_played % _BLOCKS_PER_LOOK or meter.n_played < WARM_UP_BLOCKS:
            return False
        before = (self.tier, self.warmed_up)
        if self._mode == "auto":
            self._choose(meter)
        self._judge_warmth(meter)
        return (self.tier, self.warmed_up) != before

    def _choose(self, meter: EchoMeter) -> None:
        likeness, echo_db = meter.likeness, meter.echo_db
        present = likeness >= PRESENT_LIKENESS and echo_db >= PRESENT_DB
        # Loud sound that follows no prediction may be an echo that jumps about, on a device that stumbles.
        absent = echo_db < ABSENT_DB or (likeness < ABSENT_LIKENESS and meter.heard_db < LOUD_ECHO_DB)
        self._n_present = self._n_present + _BLOCKS_PER_LOOK if present else 0
        self._n_absent = self._n_absent + _BLOCKS_PER_LOOK if absent else 0
        self._known |= present
        # At the very first, where playback is hardly heard at all, there is nothing to watch for long.
        surely_absent = self._n_absent >= ABSENT_BLOCKS or (not self._known and meter.heard_db < SILENT_DB)
        if self.tier is EchoTier.NONE:
            if self._n_present >= PRESENT_BLOCKS:
                self._enter(EchoTier.CANCEL, meter)
        elif absent and surely_absent:
            self._enter(EchoTier.NONE, meter)
        elif self.tier is EchoTier.CANCEL:
            poor = meter.n_loud >= POOR_BLOCKS and meter.erle_db(POOR_BLOCKS) < POOR_ERLE_DB
            if poor and present:
                self._enter(EchoTier.HALF_DUPLEX, meter)
        elif meter.n_loud >= WARM_UP_BLOCKS and meter.erle_db(POOR_BLOCKS) > GOOD_ERLE_DB:
            self._enter(EchoTier.CANCEL, meter)

    def _enter(self, tier: EchoTier, meter: EchoMeter) -> None:
        # Half duplex is left because the canceller works.
        self.warmed_up = self.tier is EchoTier.HALF_DUPLEX and tier is EchoTier.CANCEL
        self.tier = tier
        self._n_with_echo = 0
        self._n_rated_before = meter.n_rated
        meter.forget_erle()
        meter.expects_echo = tier is not EchoTier.NONE
        if tier is EchoTier.NONE:
            meter.forget_room()

    def _judge_warmth(self, meter: EchoMeter) -> None:
        if self.tier is EchoTier.NONE:
            self.warmed_up = True
        elif self.tier is EchoTier.CANCEL and not self.warmed_up and self._n_with_echo >= WARM_UP_BLOCKS:
            # An echo as faint as the noise is nothing to converge on.
            faint = self._n_with_echo >= POOR_BLOCKS and meter.echo_db < LOUD_ECHO_DB
            self.warmed_up = faint or (
                meter.n_rated - self._n_rated_before >= _WARM_ERLE_BLOCKS
                and meter.erle_db(_WARM_ERLE_BLOCKS) >= POOR_ERLE_DB
            )
