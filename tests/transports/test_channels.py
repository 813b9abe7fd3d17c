"""Several channels become one without losing what is in opposite phase, and two speakers can be kept apart."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.house import SPEECH
from transports.recording import load_recording
from transports.sound_file import decode_channels, decode_sound

RATE_HZ = 16_000
SPOKEN = np.resize(load_recording(SPEECH / "tell_me_a_story.wav").audio_s16, 6 * RATE_HZ).astype(np.float32) / 32768


def stereo(tmp_path: Path, *channels: np.ndarray, rate_hz: int = RATE_HZ) -> Path:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack(channels, axis=1), rate_hz, subtype="PCM_16")
    return path


def alike(one: np.ndarray, other: np.ndarray) -> float:
    n = min(len(one), len(other))
    a, b = one[:n].astype(float), other[:n].astype(float)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize("second", [1.0, 0.5, 0.0, -0.5, -0.9, -1.0])
@pytest.mark.parametrize("rate_hz", [RATE_HZ, 8000])
def test_however_the_second_channel_is_wired_the_voice_is_heard(tmp_path: Path, second: float, rate_hz: int) -> None:
    heard_s16 = decode_sound(stereo(tmp_path, SPOKEN, SPOKEN * second, rate_hz=rate_hz), max_secs=60)
    assert np.abs(heard_s16).max() > 0.45 * np.abs(SPOKEN).max() * 32768
    if rate_hz == RATE_HZ:
        assert abs(alike(heard_s16, SPOKEN)) > 0.99


def test_a_phase_that_turns_on_the_way_loses_no_half(tmp_path: Path) -> None:
    half = len(SPOKEN) // 2
    turned = SPOKEN * np.where(np.arange(len(SPOKEN)) < half, 1, -1)
    heard_s16 = decode_sound(stereo(tmp_path, SPOKEN, turned), max_secs=60)
    for part in (slice(0, half - 8000), slice(half + 8000, None)):
        assert alike(heard_s16[part], SPOKEN[part]) > 0.99


def test_a_side_each_is_two_channels(tmp_path: Path) -> None:
    other = np.roll(SPOKEN, len(SPOKEN) // 3)
    left_s16, right_s16 = decode_channels(stereo(tmp_path, SPOKEN, other), max_secs=60)
    assert np.abs(left_s16 / 32768 - SPOKEN).max() < 3 / 32768
    assert np.abs(right_s16 / 32768 - other).max() < 3 / 32768


def test_one_channel_is_one_side(tmp_path: Path) -> None:
    assert len(decode_channels(stereo(tmp_path, SPOKEN), max_secs=60)) == 1


def test_a_voice_in_the_centre_of_six_channels_is_heard(tmp_path: Path) -> None:
    silence = np.zeros_like(SPOKEN)
    heard_s16 = decode_sound(stereo(tmp_path, silence, silence, SPOKEN, silence, silence, silence), max_secs=60)
    assert alike(heard_s16, SPOKEN) > 0.99
    assert np.abs(heard_s16).max() > 0.9 * np.abs(SPOKEN).max() * 32768


def test_front_channels_in_opposite_phase_are_heard_among_six_too(tmp_path: Path) -> None:
    silence = np.zeros_like(SPOKEN)
    heard_s16 = decode_sound(stereo(tmp_path, SPOKEN, -SPOKEN, *[silence] * 4), max_secs=60)
    assert alike(heard_s16, SPOKEN) > 0.99
