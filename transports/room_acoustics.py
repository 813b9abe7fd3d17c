"""What a room does to sound, block by block: reverberation, a drifting delay, a small loudspeaker, background noise.

In and out: shape (block_samples,), float32, full scale 1.
Reverberation follows Polack's statistical model: white noise that decays by 60 dB within RT60 behind the direct sound,
their ratio given by the critical distance (H. Kuttruff, Room Acoustics).
"""

from typing import Any

import numpy as np

Audio = np.ndarray[Any, np.dtype[np.float32]]

ROOM_VOLUME_M3 = 40.0
SPEED_OF_SOUND_M_PER_SEC = 343.0
# The first reflection comes from the table or the nearest wall.
FIRST_REFLECTION_SECS = 0.003
# Half the length of the interpolating sinc.
_HALF_TAPS = 8


def room_response(rt60_secs: float, distance_m: float, sample_rate_hz: int, rng: np.random.Generator) -> Audio:
    """The impulse response from a source to the microphone, the direct sound at sample 0.

    Args:
        rt60_secs: Time in which reverberation decays by 60 dB.
        distance_m: From the source to the microphone.
        sample_rate_hz: Its rate.
        rng: Where the reflections come from.

    Returns:
        shape (n_samples,), float32, energy 1.
    """
    critical_m = 0.057 * np.sqrt(ROOM_VOLUME_M3 / rt60_secs)
    n_samples = max(2, round(rt60_secs * sample_rate_hz))
    times_secs = np.arange(n_samples) / sample_rate_hz
    tail = rng.standard_normal(n_samples) * 10 ** (-3 * times_secs / rt60_secs)
    tail[times_secs < FIRST_REFLECTION_SECS] = 0.0
    energy = np.square(tail).sum()
    response = tail * (distance_m / critical_m / np.sqrt(energy)) if energy else tail
    response[0] = 1.0
    return (response / np.sqrt(np.square(response).sum())).astype(np.float32)


def soft_clip(audio_f32: Audio, drive: float) -> Audio:
    """A small loudspeaker driven hard: peaks are rounded off, quiet sound passes unchanged.

    Args:
        audio_f32: shape (n_samples,).
        drive: 0 is none; at 2 a peak at full scale comes out 6 dB lower.
    """
    if not drive:
        return audio_f32
    return (np.tanh(audio_f32 * drive) / drive).astype(np.float32)


class Convolver:
    """Convolution with a long response, in blocks, by uniformly partitioned overlap-save.

    Args:
        response: shape (n_samples,), float32.
        block_samples: Length of every block.
    """

    def __init__(self, response: Audio, block_samples: int) -> None:
        n_parts = -(-len(response) // block_samples)
        padded = np.zeros(n_parts * block_samples, np.float32)
        padded[: len(response)] = response
        self._n = block_samples
        self._parts = np.fft.rfft(padded.reshape(n_parts, block_samples), 2 * block_samples, axis=1)
        self._spectra = np.zeros_like(self._parts)
        self._window = np.zeros(2 * block_samples)

    def __call__(self, block_f32: Audio) -> Audio:
        """Convolve the next block."""
        self._window[: self._n] = self._window[self._n :]
        self._window[self._n :] = block_f32
        self._spectra = np.roll(self._spectra, 1, axis=0)
        self._spectra[0] = np.fft.rfft(self._window)
        spectrum = np.einsum("pf,pf->f", self._spectra, self._parts)
        return np.fft.irfft(spectrum)[self._n :].astype(np.float32)


class DelayLine:
    """A delay that need not be a whole number of samples and may change while sound passes.

    Args:
        block_samples: Length of every block.
        max_delay_samples: The longest delay that will be asked for.
    """

    def __init__(self, block_samples: int, max_delay_samples: int) -> None:
        self._n = block_samples
        self._line = np.zeros(max_delay_samples + 2 * _HALF_TAPS + block_samples, np.float32)

    def __call__(self, block_f32: Audio, first_delay: float, last_delay: float) -> Audio:
        """Delay the next block.

        Args:
            block_f32: shape (block_samples,).
            first_delay: Delay at its first sample, in samples; at least 8.
            last_delay: Delay after its last sample.

        Returns:
            shape (block_samples,), float32.
        """
        self._line[: -self._n] = self._line[self._n :]
        self._line[-self._n :] = block_f32
        at = len(self._line) - self._n + np.arange(self._n)
        at = at - np.linspace(first_delay, last_delay, self._n, endpoint=False)
        whole = np.floor(at).astype(np.int64)
        taps = np.arange(1 - _HALF_TAPS, _HALF_TAPS + 1)
        offsets = taps[None, :] - (at - whole)[:, None]
        weights = np.sinc(offsets) * np.cos(offsets * (np.pi / 2 / (_HALF_TAPS + 1))) ** 2
        indices = np.clip(whole[:, None] + taps[None, :], 0, len(self._line) - 1)
        return (self._line[indices] * weights).sum(axis=1).astype(np.float32)


class RoomNoise:
    """Steady background noise, stronger at low frequencies as fans and traffic are.

    Args:
        rms: Its level, full scale 1.
        rng: Where it comes from.
    """

    # One-pole low-pass, corner at about 500 Hz at 16 kHz.
    _POLE = 0.82
    _TAPS = 64

    def __init__(self, rms: float, rng: np.random.Generator) -> None:
        self._rng = rng
        response = (self._POLE ** np.arange(self._TAPS)).astype(np.float64)
        response /= np.sqrt(np.square(response).sum())
        self._response = response * rms
        self._tail = np.zeros(self._TAPS - 1)

    def block(self, n_samples: int) -> Audio:
        """The next `n_samples`."""
        white = np.concatenate([self._tail, self._rng.standard_normal(n_samples)])
        self._tail = white[n_samples:]
        return np.convolve(white, self._response, "valid").astype(np.float32)
