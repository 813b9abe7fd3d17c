"""Sound files whose headers lie, whose middles are damaged, whose ends are missing: sound within bounds, or a line."""

import functools
import struct
import tracemalloc
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.hostile import Witness, at_length, mutated, trying
from tests.support.house import SPEECH
from tests.support.sound_files import encoded, tone_s16, wav_of
from transports.errors import RecordingError
from transports.recording import load_recording, write_stereo
from transports.sound_file import SAMPLE_RATE_HZ, Pcm16, decode_channels, decode_sound

MAX_SECS = 2.0
# The limit's own sound is 64 kB; blocks on their way through the resampler are larger.
MEMORY_BYTES = 48 * 2**20
KINDS = {
    "wav": ("wav", "pcm_s16le", 16_000),
    "wav, 24 bits": ("wav", "pcm_s24le", 48_000),
    "wav, float": ("wav", "pcm_f32le", 24_000),
    "wav, ADPCM": ("wav", "adpcm_ms", 22_050),
    "wav, mu-law": ("wav", "pcm_mulaw", 8_000),
    "w64": ("w64", "pcm_s16le", 16_000),
    "aiff": ("aiff", "pcm_s16be", 22_050),
    "au": ("au", "pcm_s16be", 8_000),
    "caf": ("caf", "pcm_s16be", 16_000),
    "flac": ("flac", "flac", 44_100),
    "mp3": ("mp3", "libmp3lame", 44_100),
    "ogg": ("OGG", "VORBIS", 44_100),
    "opus": ("ogg", "libopus", 48_000),
    "m4a": ("ipod", "aac", 44_100),
    "webm": ("webm", "libopus", 48_000),
    "matroska": ("matroska", "pcm_s16le", 16_000),
}


@functools.cache
def whole(kind: str) -> bytes:
    """A good file of 0.15 s."""
    container, codec, rate_hz = KINDS[kind]
    if codec == "VORBIS":
        # FFmpeg's builds come without this encoder.
        file = BytesIO()
        soundfile.write(file, tone_s16(0.15, rate_hz), rate_hz, format=container, subtype=codec)
        return file.getvalue()
    return encoded(tone_s16(0.15, rate_hz), rate_hz, container, codec)


def check_decoded(decode: Callable[[], list[Pcm16]]) -> bool:
    """Whether there was sound; what there was is within the limit, and what was wrong is told in one line."""
    try:
        sides_s16 = decode()
    except RecordingError as error:
        sides_s16, refusal = [], str(error)
    else:
        refusal = None
    assert refusal is None or (refusal and refusal.isprintable() and len(refusal) < 300)
    for side_s16 in sides_s16:
        assert side_s16.dtype == np.int16
        assert side_s16.ndim == 1
        assert 0 < len(side_s16) <= MAX_SECS * SAMPLE_RATE_HZ
    return refusal is None


def is_sound(content: bytes) -> bool:
    """Decode it both ways."""
    one = check_decoded(lambda: [decode_sound(BytesIO(content), max_secs=MAX_SECS, name="talk")])
    both = check_decoded(lambda: decode_channels(BytesIO(content), max_secs=MAX_SECS, name="talk"))
    assert one == both
    return one


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_sound_begins_with_files_that_are_decoded(kind: str) -> None:
    assert is_sound(whole(kind))


SIZES = st.sampled_from([0, 1, 2, 3, 7, 16, 1000, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1]) | st.integers(
    0, 2**32 - 1
)


@st.composite
def lying_wavs(draw: st.DrawFn) -> bytes:
    """A WAV whose header says what it likes of sizes, rate, channels, bits and kind, before 0.1 s of samples."""
    data = tone_s16(0.1).tobytes()[: draw(st.integers(0, 3200))]
    kind = draw(st.sampled_from([1, 1, 1, 3, 6, 7, 2, 0x11, 0xFFFE, 0, 0x55, 0xFFFF]))
    n_channels = draw(st.sampled_from([0, 1, 1, 2, 3, 6, 255, 1000, 65_535]))
    rate_hz = draw(st.sampled_from([0, 1, 999, 1000, 8000, 16_000, 44_100, 768_000, 768_001]) | SIZES)
    n_bits = draw(st.sampled_from([0, 1, 8, 12, 16, 24, 32, 64, 65_535]))
    n_block_bytes = draw(st.sampled_from([0, 1, 2, n_channels * n_bits // 8 % 65_536, 65_535]))
    form = struct.pack("<HHIIHH", kind, n_channels, rate_hz, draw(SIZES), n_block_bytes, n_bits) + draw(
        st.binary(max_size=24)
    )
    chunks = [
        b"fmt " + struct.pack("<I", draw(st.sampled_from([16, len(form), 18, 40]) | SIZES)) + form,
        *(b"LIST" + struct.pack("<I", draw(SIZES)) for _ in range(draw(st.integers(0, 1)))),
        b"data" + struct.pack("<I", draw(st.sampled_from([len(data), 0, 2**32 - 1]) | SIZES)) + data,
    ]
    head = draw(st.sampled_from([b"RIFF", b"RIFF", b"RIFX", b"RF64", b"FFIR"]))
    return head + struct.pack("<I", draw(SIZES)) + b"WAVE" + b"".join(draw(st.permutations(chunks)))


@st.composite
def lying_files(draw: st.DrawFn) -> bytes:
    """A file with numbers overwritten near its start, pieces damaged, its end cut, or another one behind it."""
    content = bytearray(whole(draw(st.sampled_from(sorted(KINDS)))))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, min(len(content) - 4, 300)))
        content[at : at + 4] = struct.pack(draw(st.sampled_from(["<I", ">I"])), draw(SIZES))
    damaged = draw(mutated(st.just(bytes(content)), most=2))
    return damaged + draw(st.sampled_from([b"", b"", b"", *map(whole, ["mp3", "opus", "flac", "wav"])]))


def test_hostile_recordings_of_the_fixtures_are_decoded_or_refused_in_one_line() -> None:
    for path in sorted(SPEECH.glob("*.wav")):
        check_decoded(lambda path=path: [decode_sound(path, max_secs=MAX_SECS)])


def test_hostile_levels_far_beyond_full_scale_end_up_at_it() -> None:
    for level in (3e38, -3e38, 1e10):
        file = BytesIO()
        samples_f32 = np.full((4000, 2), level, np.float32)
        soundfile.write(file, samples_f32, 24_000, format="WAV", subtype="FLOAT")
        audio_s16 = decode_sound(BytesIO(file.getvalue()), max_secs=MAX_SECS)
        assert set(audio_s16[500:1500].tolist()) == {32767 if level > 0 else -32768}


def within_memory(check: Callable[[], None]) -> None:
    """Run all examples, and look at what they took at most."""
    tracemalloc.start()
    check()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < MEMORY_BYTES


@at_length(60, 600)
def test_hostile_wavs_give_sound_within_the_limit_or_one_line(
    n_examples: int, witness: Witness, capfd: pytest.CaptureFixture[str]
) -> None:
    @example(wav_of(tone_s16(0.1), rate_hz=0))
    @example(wav_of(tone_s16(0.1), rate_hz=1000, claimed_bytes=2**31 - 1))
    @given(lying_wavs() | mutated(st.just(wav_of(tone_s16(0.1)))))
    @trying(n_examples)
    def check(content: bytes) -> None:
        is_sound(content)

    within_memory(check)
    assert is_sound(whole("wav"))
    assert capfd.readouterr() == ("", "")


@at_length(60, 600)
def test_hostile_sound_of_any_kind_is_decoded_within_the_limit_or_refused(
    n_examples: int, witness: Witness, capfd: pytest.CaptureFixture[str]
) -> None:
    @given(lying_files())
    @trying(n_examples)
    def check(content: bytes) -> None:
        is_sound(content)

    within_memory(check)
    assert is_sound(whole("flac"))
    assert capfd.readouterr() == ("", "")


@at_length(30, 300)
def test_a_hostile_recording_of_a_conversation_is_read_or_refused_in_one_line(n_examples: int, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    write_stereo(path, tone_s16(0.1), SAMPLE_RATE_HZ, tone_s16(0.1, 24_000), 24_000)
    content = path.read_bytes()

    @given(mutated(st.just(content)))
    @trying(n_examples)
    def check(damaged: bytes) -> None:
        path.write_bytes(damaged)
        check_decoded(lambda: [load_recording(path).audio_s16])

    check()
    path.write_bytes(content)
    assert check_decoded(lambda: [load_recording(path).audio_s16])
