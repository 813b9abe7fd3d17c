"""Sample rates at the desktop's edge: a converter whose blocks come out as they go in.

In:  blocks of int16 at one rate.   Out: as many samples as the ratio makes of them, at once, with a fixed delay.

soxr's streams hold back 20-40 ms and return them in bursts (measured with soxr 1.1: 48 to 16 kHz, three blocks of
10 ms nothing, then 30 ms), which delays every word and moves the reference against the microphone. This one is a
windowed-sinc polyphase filter (J. O. Smith, "Digital Audio Resampling Home Page") and delays by 32 samples of the
lower rate.
"""

import math
from typing import Any

import numpy as np

HALF_WIDTH = 32
# Of the lower rate's Nyquist frequency; with this window the stop band, at 60 dB, begins where that ends.
CUTOFF = 0.93
KAISER_BETA = 6.5

Pcm16 = np.ndarray[Any, np.dtype[np.int16]]
FloatTable = np.ndarray[Any, np.dtype[np.float32]]


class RateConverter:
    """Converts one stream of one or more channels, block by block.

    Args:
        in_rate_hz: Rate of what goes in.
        out_rate_hz: Rate of what comes out; the same rate passes through untouched.
        n_channels: Channels that are converted alike.
    """

    def __init__(self, in_rate_hz: int, out_rate_hz: int, n_channels: int = 1) -> None:
        divisor = math.gcd(in_rate_hz, out_rate_hz)
        self._up = out_rate_hz // divisor
        self._down = in_rate_hz // divisor
        self._n_channels = n_channels
        lower_hz = min(in_rate_hz, out_rate_hz)
        self.delay_samples = 0 if self._up == self._down else math.ceil(HALF_WIDTH * in_rate_hz / lower_hz)
        self._filters = _filters(self._up, self.delay_samples, lower_hz / in_rate_hz)
        self.reset()

    def reset(self) -> None:
        """Forget the sound before."""
        self._past = np.zeros((self._n_channels, max(0, 2 * self.delay_samples - 1)), np.float32)
        # Where the next sample lies, in parts of an input sample, counted from the next block's start.
        self._next = 0

    def convert(self, audio_s16: Pcm16) -> Pcm16:
        """Convert the next block.

        Args:
            audio_s16: shape (n_channels, n_samples), int16.

        Returns:
            shape (n_channels, n_converted), int16, `delay_samples` of the input later.
        """
        if not self.delay_samples:
            return audio_s16
        n_in = audio_s16.shape[1]
        sound_f32 = np.concatenate((self._past, audio_s16), axis=1, dtype=np.float32)
        n_out = max(0, -(-(n_in * self._up - self._next) // self._down))
        at = self._next + self._down * np.arange(n_out)
        windows = np.lib.stride_tricks.sliding_window_view(sound_f32, 2 * self.delay_samples, axis=1)
        converted = np.einsum("cij,ij->ci", windows[:, at // self._up], self._filters[at % self._up])
        self._next += n_out * self._down - n_in * self._up
        self._past = sound_f32[:, n_in:]
        return np.clip(np.rint(converted), -32768, 32767).astype(np.int16)

    def flush(self) -> Pcm16:
        """The sound that the delay still holds back; the next block starts anew."""
        rest_s16 = self.convert(np.zeros((self._n_channels, self.delay_samples), np.int16))
        self.reset()
        return rest_s16


def _filters(n_phases: int, half: int, bandwidth: float) -> FloatTable:
    """One filter for each place that a sample can have between two input samples; shape (n_phases, 2 * half)."""
    if not half:
        return np.zeros((0, 0), np.float32)
    places = np.arange(n_phases)[:, None] / n_phases
    distances = np.arange(2 * half)[None, :] - (half - 1) - places
    edge = np.clip(distances / half, -1, 1)
    window = np.i0(KAISER_BETA * np.sqrt(1 - edge**2)) / np.i0(KAISER_BETA)
    taps = np.sinc(CUTOFF * bandwidth * distances) * window
    return (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
