"""What is heard besides words: synthesised noises, laughter and a hum.

In:  nothing but a seed.   Out: 16 kHz int16, the same at every run.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

RATE_HZ = 16_000

Sound = np.ndarray[Any, np.dtype[np.float64]]
Pcm16 = np.ndarray[Any, np.dtype[np.int16]]


def _at(duration_secs: float) -> Sound:
    return np.arange(round(duration_secs * RATE_HZ)) / RATE_HZ


def _silence(duration_secs: float) -> Sound:
    return np.zeros(round(duration_secs * RATE_HZ))


def _band(sound: Sound, low_hz: float, high_hz: float) -> Sound:
    """What lies between two frequencies."""
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    spectrum[(hz < low_hz) | (hz > high_hz)] = 0
    return np.fft.irfft(spectrum, len(sound))


def _burst(rng: np.random.Generator, duration_secs: float, decay_secs: float, low_hz: float, high_hz: float) -> Sound:
    """Noise with a sharp start."""
    at = _at(duration_secs)
    return _band(rng.standard_normal(len(at)), low_hz, high_hz) * np.exp(-at / decay_secs)


def _ring(duration_secs: float, decay_secs: float, *tones_hz: float) -> Sound:
    """Tones that fade away."""
    at = _at(duration_secs)
    return sum((np.sin(2 * np.pi * hz * at) for hz in tones_hz), np.zeros(len(at))) * np.exp(-at / decay_secs)


def _voiced(duration_secs: float, start_hz: float, end_hz: float, formants_hz: tuple[float, ...]) -> Sound:
    """A voice without words: harmonics of a gliding pitch, louder near the formants, with soft edges."""
    at = _at(duration_secs)
    pitch_hz = np.linspace(start_hz, end_hz, len(at))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    sound = np.zeros(len(at))
    for harmonic in range(1, int(4000 / max(start_hz, end_hz))):
        hz = harmonic * (start_hz + end_hz) / 2
        gain = sum(1 / (1 + ((hz - formant_hz) / 120) ** 2) for formant_hz in formants_hz) / harmonic**0.5
        sound += gain * np.sin(harmonic * phase)
    edge = np.minimum(1.0, np.minimum(at, at[::-1]) / 0.03)
    return sound * edge


def cough(rng: np.random.Generator) -> Sound:
    """Two bursts."""
    return np.concatenate(
        [_burst(rng, 0.14, 0.05, 200, 5000), _silence(0.06), _burst(rng, 0.3, 0.09, 200, 5000), _silence(0.05)]
    )


def knock(rng: np.random.Generator) -> Sound:
    """Three knocks on wood."""
    one = _ring(0.16, 0.02, 180, 310, 470) + 0.3 * _burst(rng, 0.16, 0.004, 500, 4000)
    return np.concatenate([one, one, one])


def door(rng: np.random.Generator) -> Sound:
    """A door falls shut."""
    return _burst(rng, 0.5, 0.1, 30, 400) + 0.2 * _burst(rng, 0.5, 0.01, 400, 6000)


def click(rng: np.random.Generator) -> Sound:
    """One click of a mouse."""
    return np.concatenate([_burst(rng, 0.02, 0.002, 1500, 7000), _silence(0.08), _burst(rng, 0.02, 0.002, 1500, 7000)])


def keyboard(rng: np.random.Generator) -> Sound:
    """Typing for a second."""
    strokes = [
        np.concatenate([_burst(rng, 0.03, 0.006, 800, 7000), _silence(rng.uniform(0.05, 0.13))]) for _ in range(9)
    ]
    return np.concatenate(strokes)


def breath(rng: np.random.Generator) -> Sound:
    """A breath into the microphone."""
    at = _at(0.9)
    return _band(rng.standard_normal(len(at)), 300, 3500) * np.sin(np.pi * at / 0.9) ** 2


def laughter(rng: np.random.Generator) -> Sound:
    """Ha ha ha ha: voiced bursts, five a second, with breath between them."""
    pieces: list[Sound] = []
    for index in range(4):
        voiced = _voiced(0.11, 230 - 12 * index, 200 - 12 * index, (700, 1200, 2600))
        pieces += [voiced / np.abs(voiced).max(), 0.15 * _burst(rng, 0.09, 0.05, 500, 5000)]
    return np.concatenate(pieces)


def throat(rng: np.random.Generator) -> Sound:
    """Somebody clears the throat: a rough low voice in noise."""
    at = _at(0.35)
    rough = _voiced(0.35, 95, 85, (400, 900, 2200)) * (1 + 0.8 * np.sign(np.sin(2 * np.pi * 27 * at)))
    return rough / np.abs(rough).max() + 0.4 * _band(rng.standard_normal(len(at)), 300, 4000)


def cup(rng: np.random.Generator) -> Sound:
    """A cup on a saucer."""
    one = _ring(0.25, 0.05, 2350, 3710, 5200)
    return np.concatenate([one, 0.6 * one]) + 0.02 * rng.standard_normal(2 * len(one))


def paper(rng: np.random.Generator) -> Sound:
    """A page is turned."""
    at = _at(0.6)
    flutter = np.abs(_band(rng.standard_normal(len(at)), 0, 25))
    return _band(rng.standard_normal(len(at)), 1500, 7500) * flutter / flutter.max()


NOISES: dict[str, Callable[[np.random.Generator], Sound]] = {
    "cough": cough,
    "knock": knock,
    "door": door,
    "click": click,
    "keyboard": keyboard,
    "breath": breath,
    "laughter": laughter,
    "throat": throat,
    "cup": cup,
    "paper": paper,
}


def noise(name: str) -> Pcm16:
    """One of NOISES, its peak at -6 dBFS; shape (n_samples,), int16."""
    return _pcm16(NOISES[name](np.random.default_rng(len(name))))


def hum(pitch_hz: float) -> Pcm16:
    """A hummed mm-hm, the second part higher, its peak at -6 dBFS; espeak would spell it."""
    first = _voiced(0.2, pitch_hz, pitch_hz * 0.9, (250, 1100))
    second = _voiced(0.26, pitch_hz * 1.1, pitch_hz * 1.25, (250, 1100))
    return _pcm16(np.concatenate([first, _silence(0.04), second]))


def _pcm16(sound: Sound) -> Pcm16:
    return np.round(sound * (0.5 * 32767 / np.abs(sound).max())).astype(np.int16)
