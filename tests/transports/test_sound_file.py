"""Sound files of every kind become 16 kHz mono; broken, lying and endless ones end in one line."""

import socket
import threading
import tracemalloc
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from tests.support.sound_files import encoded, silent_bomb, tone_s16, wav_of
from transports.errors import RecordingError
from transports.sound_file import SAMPLE_RATE_HZ, Pcm16, TooLongError, decode_sound

TONE_HZ = 440.0


def decoded(content: bytes, max_secs: float = 60) -> Pcm16:
    return decode_sound(BytesIO(content), max_secs=max_secs, name="talk")


def level_db(audio_s16: Pcm16, hz: float) -> float:
    """Level of one frequency; 0 dB is a full-scale sine."""
    at = np.arange(len(audio_s16)) / SAMPLE_RATE_HZ
    window = np.hanning(len(audio_s16))
    part = (audio_s16 / 32768 * window * np.exp(-2j * np.pi * hz * at)).sum() / window.sum()
    return float(20 * np.log10(2 * abs(part) + 1e-9))


# The MP3 and AAC encoders pad: up to 1152 + 1024 samples at the stream's rate.
@pytest.mark.parametrize(
    ("container", "codec", "rate_hz", "padding_secs"),
    [
        ("wav", "pcm_s16le", 16_000, 0),
        ("wav", "pcm_s24le", 48_000, 0),
        ("wav", "pcm_f32le", 24_000, 0),
        ("wav", "pcm_u8", 8_000, 0),
        ("wav", "pcm_mulaw", 8_000, 0),
        ("mp3", "libmp3lame", 44_100, 0.15),
        ("ipod", "aac", 44_100, 0.15),
        ("ogg", "libopus", 48_000, 0.05),
        ("webm", "libopus", 48_000, 0.05),
        ("flac", "flac", 44_100, 0),
        ("aiff", "pcm_s16be", 22_050, 0),
        ("matroska", "pcm_s16le", 96_000, 0),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_container_becomes_16_khz_mono_at_its_own_level(
    container: str, codec: str, rate_hz: int, padding_secs: float, channels: int
) -> None:
    sound_s16 = tone_s16(2, rate_hz, hz=TONE_HZ)
    content = encoded(
        np.stack([sound_s16] * channels, axis=1) if channels > 1 else sound_s16, rate_hz, container, codec
    )
    audio_s16 = decoded(content)
    assert audio_s16.dtype == np.int16
    assert len(audio_s16) / SAMPLE_RATE_HZ == pytest.approx(2, abs=padding_secs + 0.001)
    # A quarter of full scale is -12 dB; codecs lose a little, and 8-bit ones add noise.
    assert level_db(audio_s16[4000:28_000], TONE_HZ) == pytest.approx(-12.04, abs=1)


def test_plain_wav_at_16_khz_comes_back_sample_for_sample() -> None:
    sound_s16 = np.random.default_rng(1).integers(-32768, 32768, 20_000).astype(np.int16)
    assert np.array_equal(decoded(wav_of(sound_s16)), sound_s16)


def test_two_channels_are_averaged() -> None:
    sides_s16 = np.stack([tone_s16(1), np.zeros(16_000, np.int16)], axis=1)
    audio_s16 = decoded(encoded(sides_s16, 16_000, "flac", "flac"))
    assert np.abs(audio_s16.astype(int) - sides_s16[:, 0].astype(int) // 2).max() <= 1


@pytest.mark.parametrize("container", ["wav", "matroska"])
def test_resampling_lets_no_frequency_through_that_16_khz_cannot_hold(container: str) -> None:
    # 10 kHz sampled at 16 kHz would come back as 6 kHz.
    audio_s16 = decoded(encoded(tone_s16(1, 44_100, hz=10_000), 44_100, container, "pcm_s16le"))
    assert level_db(audio_s16[1000:-1000], 6_000) < -80
    kept_s16 = decoded(encoded(tone_s16(1, 44_100, hz=7_000), 44_100, container, "pcm_s16le"))
    assert level_db(kept_s16[1000:-1000], 7_000) == pytest.approx(-12.04, abs=0.5)


def test_the_sound_track_of_a_video_is_decoded() -> None:
    file = BytesIO()
    with av.open(file, "w", format="matroska") as output:
        video = output.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        sound = output.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone_s16(1).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 16_000
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 32), np.uint8), format="yuv420p")
        for stream, content in ((video, picture), (video, None), (sound, frame), (sound, None)):
            for packet in stream.encode(content):  # pyright: ignore[reportArgumentType]
                output.mux(packet)
    assert np.array_equal(decoded(file.getvalue()), tone_s16(1))


def test_a_video_without_sound_is_refused() -> None:
    file = BytesIO()
    with av.open(file, "w", format="matroska") as output:
        video = output.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 32), np.uint8), format="yuv420p")
        for packet in (*video.encode(picture), *video.encode(None)):
            output.mux(packet)
    with pytest.raises(RecordingError, match=r"^talk holds no sound$"):
        decoded(file.getvalue())


@pytest.mark.parametrize(
    ("claimed_bytes", "riff_bytes"),
    [(10 * 3600 * 32_000, None), (0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (0x7FFFFFFF, 0)],
    ids=["ten hours", "unknown, as pipes write it", "none, as unfinished files say", "two gigabytes"],
)
def test_a_lying_header_gives_what_is_really_there(claimed_bytes: int, riff_bytes: int | None) -> None:
    content = wav_of(tone_s16(0.5), claimed_bytes=claimed_bytes, riff_bytes=riff_bytes)
    assert np.array_equal(decoded(content), tone_s16(0.5))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "talk is empty"),
        (b"R", "talk is not a sound file, or it is damaged"),
        (b"These are words, not sound. " * 50, "talk is not a sound file, or it is damaged"),
        (np.random.default_rng(2).bytes(5000), "talk is not a sound file, or it is damaged"),
        (wav_of(tone_s16(1))[:30], "talk is not a sound file, or it is damaged"),
        (wav_of(np.zeros(0, np.int16)), "talk holds no sound"),
        (wav_of(tone_s16(1), rate_hz=0x7FFFFFFF), "talk has a sample rate of 2147483647 Hz"),
        (encoded(tone_s16(1), 16_000, "ipod", "aac")[:2000], "talk is not a sound file, or it is damaged"),
    ],
    ids=["empty", "a byte", "words", "noise", "half a header", "no samples", "absurd rate", "m4a without its index"],
)
def test_what_is_no_sound_is_refused_in_one_line(
    content: bytes, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RecordingError) as caught:
        decoded(content)
    assert str(caught.value) == reason
    assert capfd.readouterr() == ("", "")


def test_a_stream_of_an_unknown_codec_is_refused() -> None:
    content = encoded(tone_s16(1), 16_000, "matroska", "pcm_s16le").replace(b"A_PCM/INT/LIT", b"A_XYZ/INT/LIT")
    with pytest.raises(RecordingError, match=r"^talk is of an unknown codec$"):
        decoded(content)


def test_numbers_that_are_none_are_refused() -> None:
    file = BytesIO()
    soundfile.write(file, np.array([0.0, np.nan, 0.5] * 1000), 16_000, format="WAV", subtype="FLOAT")
    with pytest.raises(RecordingError, match=r"^talk holds samples that are not numbers$"):
        decoded(file.getvalue())


@pytest.mark.parametrize(("container", "codec"), [("mp3", "libmp3lame"), ("flac", "flac"), ("ogg", "libopus")])
def test_a_file_cut_in_the_middle_gives_its_first_half(
    container: str, codec: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content = encoded(tone_s16(4, 48_000), 48_000, container, codec)
    audio_s16 = decoded(content[: len(content) // 2])
    assert 1.5 < len(audio_s16) / SAMPLE_RATE_HZ < 2.6
    assert level_db(audio_s16[4000:20_000], TONE_HZ) == pytest.approx(-12.04, abs=1)
    assert capfd.readouterr() == ("", "")


def test_tags_in_no_known_encoding_do_no_harm() -> None:
    content = encoded(tone_s16(1), 16_000, "flac", "flac", title="XYXYXYXY").replace(
        b"XYXYXYXY", b"\xff\xfe\xe9\xc3" * 2
    )
    assert np.array_equal(decoded(content), tone_s16(1))


def test_an_hour_of_silence_in_a_small_file_ends_at_the_limit_and_takes_no_memory() -> None:
    content = silent_bomb(3600)
    assert len(content) < 2**20
    tracemalloc.start()
    with pytest.raises(TooLongError, match=r"^talk is longer than 60 s$"):
        decoded(content, max_secs=60)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 60 s at 16 kHz s16 are 1.9 MB.
    assert peak_bytes < 2 * 60 * SAMPLE_RATE_HZ * 2


def test_the_limit_itself_is_allowed_and_one_sample_more_is_not() -> None:
    assert len(decoded(wav_of(tone_s16(2)), max_secs=2)) == 32_000
    with pytest.raises(TooLongError):
        decoded(wav_of(tone_s16(2 + 1 / 16_000)), max_secs=2)


def test_a_playlist_opens_neither_addresses_nor_files(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(wav_of(tone_s16(1)))
    callers: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up_on_callers() -> None:
            with suppress(OSError):
                while True:
                    caller, address = listener.accept()
                    callers.append(address)
                    caller.close()

        answering = threading.Thread(target=hang_up_on_callers)
        answering.start()
        # FFmpeg goes by the name, too.
        hls, concat = tmp_path / "list.m3u8", tmp_path / "list.ffconcat"
        for target in (f"http://127.0.0.1:{listener.getsockname()[1]}/a.ts", "secret.wav"):
            hls.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n")
            concat.write_text(f"ffconcat version 1.0\nfile '{target}'\n")
            for playlist in (hls, concat):
                with pytest.raises(RecordingError, match=r" is not a sound file, or it is damaged$"):
                    decode_sound(playlist, max_secs=60)
        listener.shutdown(socket.SHUT_RDWR)
        answering.join()
    assert callers == []


def test_a_path_is_opened_and_named(tmp_path: Path) -> None:
    path = tmp_path / "note.flac"
    path.write_bytes(encoded(tone_s16(1), 16_000, "flac", "flac"))
    assert np.array_equal(decode_sound(path, max_secs=60), tone_s16(1))
    with pytest.raises(RecordingError, match=r"/nothing\.wav cannot be read: No such file or directory$"):
        decode_sound(tmp_path / "nothing.wav", max_secs=60)
