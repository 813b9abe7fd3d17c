"""Gain on PCM, ramped so that a change of level makes no click, and bounded so that no sample is cut off."""

import numpy as np


def gain_of(level_db: float) -> float:
    """The factor of a change in level."""
    return 10.0 ** (level_db / 20.0)


# A change of level takes this many samples: 5 ms at 24 kHz.
RAMP_SAMPLES = 120
FULL_SCALE = 32_767


def without_clipping(pcm16: bytes, gain: float) -> float:
    """A gain, or the largest one below it that leaves the loudest sample whole.

    Args:
        pcm16: Little-endian s16.
        gain: 0 or more.
    """
    if gain <= 1.0 or not pcm16:
        return gain
    peak = int(np.abs(np.frombuffer(pcm16, "<i2").astype(np.int32)).max())
    return gain if peak * gain <= FULL_SCALE else max(1.0, FULL_SCALE / peak)


def scaled(pcm16: bytes, from_gain: float, to_gain: float) -> bytes:
    """Change the level of sound, from one gain at its first sample to another within RAMP_SAMPLES.

    Args:
        pcm16: Little-endian s16, one channel.
        from_gain: 0 or more.
        to_gain: 0 or more; both leave the loudest sample whole.

    Returns:
        As many samples as came in; the very same bytes where both gains are 1.
    """
    if from_gain == to_gain == 1.0:
        return pcm16
    audio_s16 = np.frombuffer(pcm16, "<i2")
    gains = np.full(len(audio_s16), to_gain)
    ramp = min(RAMP_SAMPLES, len(gains))
    gains[:ramp] = np.linspace(from_gain, to_gain, ramp)
    return np.clip(np.round(audio_s16 * gains), -FULL_SCALE - 1, FULL_SCALE).astype("<i2").tobytes()


class Level:
    """The gain of a stream of sound, frame by frame: as loud as is wanted, or as loud as can be."""

    def __init__(self) -> None:
        self._gain = 1.0

    def reset(self) -> None:
        """Begin anew, at a gain of 1."""
        self._gain = 1.0

    def ramp(self, pcm16: bytes, gain: float, following: bytes = b"") -> tuple[float, float]:
        """The gains for `scaled` of the next frame: from that of the frame before to the one that is wanted.

        Args:
            pcm16: Little-endian s16, one channel.
            gain: 0 or more.
            following: The frame after, if it is there: the gain falls before it for its loudest sample, without a step.

        Returns:
            Gains at the first sample and after RAMP_SAMPLES; neither makes any sample of the frame larger than s16.
        """
        from_gain = without_clipping(pcm16, self._gain)
        self._gain = without_clipping(pcm16 + following, gain)
        return from_gain, self._gain
