"""The converter at the desktop's edge: counts, quality and delay of its samples."""

import numpy as np
import pytest

from transports.desktop_rate import RateConverter

RATES = [(48_000, 16_000), (24_000, 48_000), (44_100, 16_000), (24_000, 44_100), (22_050, 48_000), (16_000, 16_000)]


def sine(frequency_hz: float, rate_hz: int, duration_secs: float = 1.0) -> np.ndarray:
    at = np.arange(round(rate_hz * duration_secs))
    return (16_000 * np.sin(2 * np.pi * frequency_hz * at / rate_hz)).astype(np.int16)[None, :]


def rms(audio: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(audio.astype(float)))))


@pytest.mark.parametrize(("in_rate_hz", "out_rate_hz"), RATES)
def test_blocks_come_out_as_they_go_in(in_rate_hz: int, out_rate_hz: int) -> None:
    converter = RateConverter(in_rate_hz, out_rate_hz)
    n_in = in_rate_hz // 50
    sizes = [converter.convert(np.zeros((1, n_in), np.int16)).shape[1] for _ in range(100)]
    assert sum(sizes) == 2 * out_rate_hz
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("in_rate_hz", "out_rate_hz"), RATES)
def test_a_tone_keeps_its_level_and_gains_no_other(in_rate_hz: int, out_rate_hz: int) -> None:
    converted = RateConverter(in_rate_hz, out_rate_hz).convert(sine(1000, in_rate_hz))[0][out_rate_hz // 10 :]
    at = np.arange(len(converted)) / out_rate_hz
    basis = np.stack((np.sin(2 * np.pi * 1000 * at), np.cos(2 * np.pi * 1000 * at)), axis=1)
    weights = np.linalg.lstsq(basis, converted.astype(float), rcond=None)[0]
    assert np.hypot(*weights) == pytest.approx(16_000, rel=0.005)
    # 60 dB below the tone.
    assert rms(converted - basis @ weights) < 16_000 / np.sqrt(2) / 1000


def test_what_the_lower_rate_cannot_hold_is_gone() -> None:
    converted = RateConverter(48_000, 16_000).convert(sine(9000, 48_000))[0]
    assert rms(converted[1600:]) < 16_000 / np.sqrt(2) / 1000


def test_the_delay_is_32_samples_of_the_lower_rate() -> None:
    pulse = np.zeros((1, 4800), np.int16)
    pulse[0, 2400] = 30_000
    converter = RateConverter(48_000, 16_000)
    assert converter.delay_samples == 32 * 3
    assert int(np.argmax(converter.convert(pulse)[0])) == 2400 // 3 + 32


def test_small_blocks_give_the_same_samples_as_one_large_one() -> None:
    audio_s16 = np.random.default_rng(1).integers(-20_000, 20_000, (2, 4410), np.int16)
    whole = RateConverter(44_100, 16_000, 2).convert(audio_s16)
    converter = RateConverter(44_100, 16_000, 2)
    parts = [converter.convert(audio_s16[:, start : start + 7]) for start in range(0, 4410, 7)]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_both_channels_are_converted_alike() -> None:
    audio_s16 = np.repeat(sine(440, 48_000), 2, axis=0)
    converted = RateConverter(48_000, 16_000, 2).convert(audio_s16)
    assert np.array_equal(converted[0], converted[1])


def test_flushing_gives_what_was_held_back_and_starts_anew() -> None:
    audio_s16 = sine(440, 24_000, 0.1)
    converter = RateConverter(24_000, 48_000)
    first = np.concatenate((converter.convert(audio_s16), converter.flush()), axis=1)
    second = np.concatenate((converter.convert(audio_s16), converter.flush()), axis=1)
    # The delay's 32 samples become 64.
    assert first.shape == (1, 4800 + 64)
    assert np.array_equal(first, second)


def test_full_scale_is_clipped_and_does_not_wrap() -> None:
    square = np.repeat(np.where(np.arange(100) % 2, 32767, -32768), 48).astype(np.int16)[None, :]
    converted = RateConverter(48_000, 16_000).convert(square)[0]
    # In the middle of each half wave the sign is that of the square 32 samples before.
    middles = np.arange(8, len(converted) - 32, 16)
    assert np.array_equal(np.sign(converted[middles + 32]), np.sign(square[0, middles * 3]))
