"""Sound that is encoded piece by piece: any player reads it, and it comes before it is all made."""

import io
import wave

import numpy as np
import pytest

from transports.sound_encoder import SOUND_KINDS, SoundEncoder, SoundKind
from transports.sound_file import decode_sound

RATE_HZ = 24_000
SECS = 3.0


def tone_s16(secs: float = SECS) -> np.ndarray:
    at = np.arange(round(secs * RATE_HZ)) / RATE_HZ
    return (8_000 * np.sin(2 * np.pi * 440 * at)).astype("<i2")


def encoded(kind: SoundKind, piece: int) -> tuple[bytes, int]:
    """The file, and after how many samples the first of its bytes came."""
    encoder, sound = SoundEncoder(kind, RATE_HZ), tone_s16()
    out = b""
    first = 0
    for start in range(0, len(sound), piece):
        out += encoder.encode(sound[start : start + piece].tobytes())
        first = first or (start + piece if out else 0)
    return out + encoder.finish(), first


@pytest.mark.parametrize("kind", [kind for kind in SOUND_KINDS if kind != "pcm"])
@pytest.mark.parametrize("piece", [1, 1_000, 100_000])
def test_it_is_whole_however_it_was_cut(kind: SoundKind, piece: int) -> None:
    if piece == 1:
        encoder = SoundEncoder(kind, RATE_HZ)
        sound = tone_s16(0.3)
        data = b"".join(encoder.encode(one.tobytes()) for one in np.split(sound, len(sound))) + encoder.finish()
        secs = 0.3
    else:
        data, secs = encoded(kind, piece)[0], SECS
    heard = decode_sound(io.BytesIO(data), max_secs=60, name=kind)
    # Codecs round up to whole frames.
    assert len(heard) / 16_000 == pytest.approx(secs, abs=0.11)
    middle = heard[len(heard) // 3 : 2 * len(heard) // 3].astype(float)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(8_000 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("kind", SOUND_KINDS)
def test_the_first_bytes_do_not_wait_for_the_end(kind: SoundKind) -> None:
    _, first = encoded(kind, 1_200)
    assert 0 < first <= RATE_HZ // 2


def test_a_wav_of_unknown_length_is_read_to_its_end() -> None:
    data, _ = encoded("wav", 1_000)
    with wave.open(io.BytesIO(data)) as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (RATE_HZ, 1, 2)
        assert read.readframes(read.getnframes()) == tone_s16().tobytes()


def test_plain_samples_stay_as_they_are() -> None:
    assert encoded("pcm", 1_001)[0] == tone_s16().tobytes()


@pytest.mark.parametrize("kind", SOUND_KINDS)
def test_a_sound_without_samples_ends_without_an_error(kind: SoundKind) -> None:
    encoder = SoundEncoder(kind, RATE_HZ)
    assert len(encoder.encode(b"")) == (44 if kind == "wav" else 0)
    assert isinstance(encoder.finish(), bytes)
