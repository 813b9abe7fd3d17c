"""How much echo there is, what the canceller takes off it, and how much of the microphone's sound it accounts for.

In:  powers of 10 ms blocks: played, heard, cleaned.   Out: levels, delay, echo reduction (ERLE).

The echo's power is predicted from the power that was played in the last 640 ms by a non-negative filter with a tap
every 10 ms, which so holds delay, loudness and reverberation. It is fitted by weighted least squares with
multiplicative updates (Lee and Seung, 2001) to what the canceller has taken away, which the user's voice hardly
touches. What the microphone hears beyond the prediction is not echo, however badly the canceller works.
"""

from collections import deque
from typing import Any

import numpy as np

BLOCKS_PER_SEC = 100
N_TAPS = 64
# The filter follows the room within this many seconds of playback.
_FORGET_PER_BLOCK = 1 - 1 / (5 * BLOCKS_PER_SEC)
_BLOCKS_PER_FIT = 5
_FIRST_TAP = 1e-3
# Until the canceller has converged, the filter is fitted to the microphone itself.
_FIRST_FIT_BLOCKS = 150
# Full scale is 1: quieter than -55 dBFS nothing is played that could be heard.
_PLAYED_POWER = 10**-5.5
_LEAST_NOISE_POWER = 10**-9.0
# The quietest 50 ms of 3 s are background noise.
_NOISE_BLOCKS = 3 * BLOCKS_PER_SEC
_NOISE_GROUP = 5
_LEAST_NOISE_BLOCKS = 4 * _NOISE_GROUP
# Blocks whose echo stands out of the noise, and which the user does not speak in, tell how well it is cancelled.
LOUD_ECHO_DB = 10.0
_MOST_ABOVE_ECHO = 2.0
# The last 200 ms tell whether the echo accounts for the sound.
_EXCESS_BLOCKS = 20
# Prediction and microphone go up and down together where there is an echo, unless the user speaks.
_USER_ABOVE = 4.0
_LIKENESS_BLOCKS = 3 * BLOCKS_PER_SEC

Powers = np.ndarray[Any, np.dtype[np.float64]]


class EchoMeter:
    """Follows one room; every call is 10 ms.

    Attributes:
        expects_echo: Whether sound far above the prediction is taken for the user's; else it may be a new echo.
        noise_power: Of the background.
        echo_power: Predicted for the latest block; 0 where nothing was played.
        n_played: Blocks in which something that was played could still be heard.
        n_rated: Blocks that told how well the canceller works.
    """

    def __init__(self) -> None:
        self._played: Powers = np.zeros(N_TAPS)
        self._taps: Powers = np.full(N_TAPS, _FIRST_TAP)
        self._covariance = np.zeros((N_TAPS, N_TAPS))
        self._correlation: Powers = np.zeros(N_TAPS)
        self._idle: deque[float] = deque(maxlen=_NOISE_BLOCKS)
        self._over_agent: deque[float] = deque(maxlen=_NOISE_BLOCKS)
        self._likeness: deque[tuple[float, float]] = deque(maxlen=_LIKENESS_BLOCKS)
        self._recent: deque[tuple[float, float, float]] = deque(maxlen=_EXCESS_BLOCKS)
        self._reduction_db: deque[float] = deque(maxlen=_LIKENESS_BLOCKS)
        self._n_blocks = 0
        self._n_fitted = 0
        self._loudest = _PLAYED_POWER
        self.expects_echo = True
        self.noise_power = _LEAST_NOISE_POWER
        self.echo_power = 0.0
        self.n_played = 0
        self.n_rated = 0

    def measure(self, played_power: float, mic_power: float, clean_power: float) -> None:
        """Take one block.

        Args:
            played_power: Mean square of what was played, full scale 1.
            mic_power: Of what the microphone heard.
            clean_power: Of what the canceller left.
        """
        self._played[1:] = self._played[:-1]
        self._played[0] = played_power
        self._follow_noise(mic_power)
        self._n_blocks += 1
        self.echo_power = 0.0
        if self.playing:
            self.n_played += 1
            self.echo_power = float(self._taps @ self._played)
            self._learn(mic_power, clean_power)
            if mic_power <= _USER_ABOVE * (self.echo_power + self.noise_power):
                self._likeness.append((self.echo_power, mic_power))
            self._rate(mic_power, clean_power)
        self._recent.append((mic_power, self.echo_power, clean_power))

    @property
    def playing(self) -> bool:
        """Whether something that was played in the last 640 ms can still be heard."""
        return bool(self._played.max() > _PLAYED_POWER)

    @property
    def delay_ms(self) -> int:
        """From the device to the microphone, in steps of 10 ms; what has been learnt of it so far."""
        return int(np.argmax(self._taps)) * 1000 // BLOCKS_PER_SEC

    @property
    def excess_db(self) -> float:
        """How much louder the microphone was in the last 200 ms than echo and noise account for."""
        mic, echo, _ = self._latest
        return _db(mic, echo + self.noise_power)

    @property
    def kept_db(self) -> float:
        """What the canceller left of the microphone's sound in the last 200 ms; far below 0 it was echo."""
        mic, _, clean = self._latest
        return _db(clean, mic)

    @property
    def _latest(self) -> tuple[float, float, float]:
        """Mean powers of microphone, predicted echo and cleaned sound in the last 200 ms."""
        n_blocks = max(len(self._recent), 1)
        mic, echo, clean = (sum(block[side] for block in self._recent) / n_blocks for side in range(3))
        return mic, echo, clean

    @property
    def echo_db(self) -> float:
        """The echo against the background noise, over the last 3 s of playback."""
        echo = sum(echo for echo, _ in self._likeness) / max(len(self._likeness), 1)
        return _db(echo, self.noise_power)

    @property
    def heard_db(self) -> float:
        """What the microphone hears over playback against the background noise, over the last 3 s of playback."""
        return _db(sum(mic for _, mic in self._likeness) / max(len(self._likeness), 1), self.noise_power)

    @property
    def likeness(self) -> float:
        """Correlation of predicted and heard level over the last 3 s of playback, -1 to 1; 0 while unknown."""
        if len(self._likeness) < 2:
            return 0.0
        predicted, heard = np.sqrt(np.array(self._likeness)).T
        spread = float(predicted.std() * heard.std())
        return float(((predicted - predicted.mean()) * (heard - heard.mean())).mean()) / spread if spread else 0.0

    @property
    def n_loud(self) -> int:
        """Blocks that `erle_db` is judged by, at most 3 s."""
        return len(self._reduction_db)

    def erle_db(self, n_blocks: int) -> float:
        """The canceller's reduction, median of the latest blocks of loud echo; 0 while there were none."""
        latest = list(self._reduction_db)[-n_blocks:]
        return float(np.median(latest)) if latest else 0.0

    def forget_room(self) -> None:
        """Learn the echo anew: there was none."""
        self._taps[:] = _FIRST_TAP
        self._covariance[:] = 0.0
        self._correlation[:] = 0.0
        self._n_fitted = 0

    def forget_erle(self) -> None:
        """Judge the canceller anew."""
        self._reduction_db.clear()

    def _follow_noise(self, mic_power: float) -> None:
        """Background noise is what is heard in pauses; while the agent speaks on and on, it can only be less."""
        (self._over_agent if self.playing else self._idle).append(mic_power)
        if self._n_blocks % 10 == 0:
            known = [_quietest(side) for side in (self._idle, self._over_agent) if len(side) >= _LEAST_NOISE_BLOCKS]
            self.noise_power = max(min(known), _LEAST_NOISE_POWER) if known else self.noise_power

    def _learn(self, mic_power: float, clean_power: float) -> None:
        self._n_fitted += 1
        kept = self.noise_power if self._n_fitted <= _FIRST_FIT_BLOCKS else max(clean_power, self.noise_power)
        taken = max(mic_power - kept, 0.0)
        if self.expects_echo and self._n_fitted > _FIRST_FIT_BLOCKS:
            taken = min(taken, _USER_ABOVE * (self.echo_power + self.noise_power))
        level = float(self._played.mean())
        self._loudest = max(level, self._loudest * _FORGET_PER_BLOCK)
        weight = 1.0 / (level + 0.1 * self._loudest) ** 2
        self._covariance *= _FORGET_PER_BLOCK
        self._correlation *= _FORGET_PER_BLOCK
        self._covariance += np.outer(self._played * weight, self._played)
        self._correlation += weight * taken * self._played
        if self.n_played % _BLOCKS_PER_FIT == 0:
            for _ in range(2):
                self._taps *= (self._correlation + 1e-12) / (self._covariance @ self._taps + 1e-12)
            np.maximum(self._taps, 1e-7, out=self._taps)

    def _rate(self, mic_power: float, clean_power: float) -> None:
        loud = self.echo_power >= self.noise_power * 10 ** (LOUD_ECHO_DB / 10)
        if loud and self.echo_power / _MOST_ABOVE_ECHO <= mic_power <= self.echo_power * _MOST_ABOVE_ECHO:
            self.n_rated += 1
            self._reduction_db.append(_db(mic_power, max(clean_power, self.noise_power / 4)))


def _quietest(heard: deque[float]) -> float:
    """The power of the quietest twentieth of the groups of 50 ms."""
    powers = np.array(heard)
    groups = powers[: len(powers) // _NOISE_GROUP * _NOISE_GROUP].reshape(-1, _NOISE_GROUP).mean(axis=1)
    return float(np.percentile(groups, 5))


def _db(power: float, against: float) -> float:
    return 10 * float(np.log10((power + 1e-15) / (against + 1e-15)))
