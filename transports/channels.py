"""Several channels of a recording made one, without losing what is in opposite phase.

A microphone whose two channels are wired in opposite phase, or a record of stereo sides, sums to silence: then their
difference holds the voice. Which of the two it is, is decided twice a second, by how the channels correlate.
"""

from typing import Any

import numpy as np

RATE_HZ = 16_000
WINDOW_SAMPLES = RATE_HZ // 2
FADE_SAMPLES = RATE_HZ // 100
# One takes over from the other where it is four times as strong: a correlation of the channels beyond 0.6 or -0.6.
CLEARLY = 4.0
# In a surround layout the third channel is the middle one, where people speak.
CENTRE = 2

_Block = np.ndarray[Any, np.dtype[np.float32]]
Pcm16 = np.ndarray[Any, np.dtype[np.int16]]


def lanes_of(channels_f32: _Block) -> _Block:
    """What is kept of several channels.

    Args:
        channels_f32: shape (n_channels, n_samples), float32.

    Returns:
        shape (1, n_samples) for one channel; else shape (2, n_samples): the average, and half the difference of the
        first two, with the centre where there is one.
    """
    n_channels = len(channels_f32)
    if n_channels == 1:
        return channels_f32
    average = np.full(n_channels, 1 / n_channels, np.float32) @ channels_f32
    other = (channels_f32[0] - channels_f32[1]) / 2
    if n_channels > 2:
        other += channels_f32[CENTRE]
    return np.stack([average, other])


def one_of(average_s16: Pcm16, other_s16: Pcm16) -> Pcm16:
    """The average, or the other lane where the average has next to nothing.

    Args:
        average_s16: shape (n_samples,), int16, 16 kHz.
        other_s16: The same shape.

    Returns:
        The same shape; one fades into the other within 10 ms.
    """
    n_windows = -(-len(average_s16) // WINDOW_SAMPLES)
    powers = np.array([[_power(lane, at) for lane in (average_s16, other_s16)] for at in range(n_windows)])
    chosen = _chosen(powers)
    if not chosen.any():
        return average_s16
    share = np.repeat(chosen.astype(np.float32), WINDOW_SAMPLES)[: len(average_s16)]
    for at in np.flatnonzero(np.diff(chosen.astype(int))) + 1:
        begin = int(at) * WINDOW_SAMPLES
        ramp = np.linspace(share[begin - 1], share[begin], FADE_SAMPLES, dtype=np.float32)
        share[begin : begin + FADE_SAMPLES] = ramp[: len(share) - begin]
    return (average_s16 * (1 - share) + other_s16 * share).round().astype(np.int16)


def _chosen(powers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Whether the other lane is taken, for each window; where neither is clear, the one before goes on."""
    clear = np.where(powers[:, 1] > CLEARLY * powers[:, 0], 1, np.where(powers[:, 0] > CLEARLY * powers[:, 1], 0, -1))
    first = next((choice for choice in clear if choice >= 0), 0)
    chosen = np.empty(len(clear), bool)
    current = first
    for index, choice in enumerate(clear):
        current = choice if choice >= 0 else current
        chosen[index] = current
    return chosen


def _power(lane_s16: Pcm16, window: int) -> float:
    part = lane_s16[window * WINDOW_SAMPLES : (window + 1) * WINDOW_SAMPLES].astype(np.float32)
    return float(part @ part) / len(part) + 1.0
