"""Speech that is made slower or faster than its engine can: as long as asked for, at the same pitch."""

import numpy as np
import pytest

from processors.tts.tempo import Tempo

RATE_HZ = 24_000
PITCH_HZ = 220.0


def changed(factor: float, piece: int) -> np.ndarray:
    at = np.arange(3 * RATE_HZ) / RATE_HZ
    sound = (8_000 * np.sin(2 * np.pi * PITCH_HZ * at)).astype("<i2")
    tempo = Tempo(factor, RATE_HZ)
    pieces = [tempo.change(sound[start : start + piece].tobytes()) for start in range(0, len(sound), piece)]
    return np.frombuffer(b"".join([*pieces, tempo.finish()]), "<i2")


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.5, 2.0])
@pytest.mark.parametrize("piece", [997, 3 * RATE_HZ])
def test_it_is_as_long_as_asked_for_at_the_same_pitch(factor: float, piece: int) -> None:
    sound = changed(factor, piece)
    assert len(sound) / RATE_HZ == pytest.approx(3.0 / factor, abs=0.1)
    spectrum = np.abs(np.fft.rfft(sound[len(sound) // 4 : 3 * len(sound) // 4]))
    found_hz = np.argmax(spectrum) * RATE_HZ / (len(sound) // 4 * 2)
    assert found_hz == pytest.approx(PITCH_HZ, abs=3)


def test_the_natural_pace_is_left_alone_and_nothing_is_nothing() -> None:
    tempo = Tempo(1.0, RATE_HZ)
    assert (tempo.change(b"\1\0"), tempo.finish()) == (b"\1\0", b"")
    tempo = Tempo(2.0, RATE_HZ)
    assert (tempo.change(b""), tempo.finish()) == (b"", b"")


@pytest.mark.parametrize("factor", [0.4, 2.1, float("nan")])
def test_what_it_cannot_do_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match=r"a tempo is from 0\.5 to 2\.0"):
        Tempo(factor, RATE_HZ)
