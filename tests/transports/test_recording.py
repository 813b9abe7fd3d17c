"""Recordings of any kind become 16 kHz mono, and broken ones are named in one line."""

import wave
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from transports.errors import RecordingError
from transports.recording import load_recording, voiced_end_secs, write_stereo

RATE_HZ = 16_000


def tone(duration_secs: float, rate_hz: int = RATE_HZ, frequency_hz: float = 440.0, level: float = 0.5) -> np.ndarray:
    n_samples = int(duration_secs * rate_hz)
    return (level * np.sin(2 * np.pi * frequency_hz * np.arange(n_samples) / rate_hz)).astype(np.float32)


def rms_dbfs(audio_s16: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt((audio_s16.astype(np.float64) ** 2).mean()) / 32768))


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("n_channels", [1, 2, 6])
def test_any_rate_and_any_channels_become_16_khz_mono(tmp_path: Path, rate_hz: int, n_channels: int) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.repeat(tone(0.5, rate_hz)[:, None], n_channels, axis=1), rate_hz)
    recording = load_recording(path)
    assert abs(len(recording.audio_s16) - 0.5 * RATE_HZ) <= 2
    # A sine of amplitude 0.5 has an RMS of 0.5 / sqrt(2): -9.03 dBFS.
    assert rms_dbfs(recording.audio_s16) == pytest.approx(-9.03, abs=0.1)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "ULAW"])
def test_every_sample_format_keeps_its_level(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(0.5), RATE_HZ, subtype=subtype)
    assert rms_dbfs(load_recording(path).audio_s16) == pytest.approx(-9.03, abs=0.2)


def test_what_only_pyav_decodes_is_decoded_too(tmp_path: Path) -> None:
    path = tmp_path / "tone.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(0.5, 44_100)[None, :], format="fltp", layout="mono")
        frame.sample_rate = 44_100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    recording = load_recording(path)
    # AAC pads to whole frames of 1024 samples on both sides.
    assert recording.duration_secs == pytest.approx(0.5, abs=0.08)
    assert rms_dbfs(recording.audio_s16[3000:6000]) == pytest.approx(-9.03, abs=0.5)


def test_gain_is_added_and_clipped_never_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(0.2), RATE_HZ)
    assert rms_dbfs(load_recording(path, gain_db=-6.0).audio_s16) == pytest.approx(-15.03, abs=0.1)
    loud_s16 = load_recording(path, gain_db=20.0).audio_s16
    assert (loud_s16.min(), loud_s16.max()) == (-32768, 32767)
    # Wrapping would flip the sign of a loud half wave.
    assert np.abs(np.diff(np.sign(loud_s16.astype(int)))).sum() == pytest.approx(2 * 2 * 440 * 0.2, abs=6)


def test_the_voice_ends_where_the_sound_ends(tmp_path: Path) -> None:
    audio = np.concatenate([np.zeros(4800, np.float32), tone(0.5), np.zeros(8000, np.float32)])
    path = tmp_path / "speech.wav"
    soundfile.write(path, audio, RATE_HZ)
    # 0.3 s of silence, then 0.5 s of tone.
    assert load_recording(path).voiced_end_secs == pytest.approx(0.8, abs=0.011)


def test_silence_has_its_whole_length_for_an_end() -> None:
    assert voiced_end_secs(np.zeros(16_000, np.int16)) == 1.0
    assert voiced_end_secs(np.zeros(7, np.int16)) == pytest.approx(7 / 16_000)


def test_broken_recordings_are_named_in_one_line(tmp_path: Path) -> None:
    truncated = tmp_path / "truncated.wav"
    with wave.open(str(tmp_path / "good.wav"), "wb") as good:
        good.setnchannels(1)
        good.setsampwidth(2)
        good.setframerate(RATE_HZ)
        good.writeframes(b"\0\0" * 100)
    truncated.write_bytes((tmp_path / "good.wav").read_bytes()[:20])
    no_samples = tmp_path / "no_samples.wav"
    soundfile.write(no_samples, np.zeros(0, np.float32), RATE_HZ)
    not_numbers = tmp_path / "nan.wav"
    soundfile.write(not_numbers, np.full(100, np.nan, np.float32), RATE_HZ, subtype="FLOAT")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("hello", encoding="utf-8")
    (tmp_path / "folder.wav").mkdir()
    for name in ("missing", "empty", "text", "truncated", "no_samples", "nan", "folder"):
        path = tmp_path / f"{name}.wav"
        with pytest.raises(RecordingError) as caught:
            load_recording(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_both_sides_are_written_on_one_timeline(tmp_path: Path) -> None:
    left_s16 = np.zeros(16_000, np.int16)
    left_s16[8_000:] = (tone(0.5) * 32767).astype(np.int16)
    right_s16 = (tone(2.0, 24_000) * 32767).astype(np.int16)
    path = tmp_path / "out.wav"
    write_stereo(path, left_s16, 16_000, right_s16, 24_000)
    stereo, rate_hz = soundfile.read(path, dtype="int16")
    assert (rate_hz, stereo.shape) == (24_000, (48_000, 2))
    assert soundfile.info(path).subtype == "PCM_16"
    assert abs(stereo[:11_900, 0]).max() < 200
    assert rms_dbfs(stereo[12_100:23_900, 0]) == pytest.approx(-9.03, abs=0.1)
    assert not stereo[24_100:, 0].any()
    np.testing.assert_array_equal(stereo[:, 1], right_s16)


def test_a_recording_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be written"):
        write_stereo(tmp_path / "nowhere" / "o.wav", np.zeros(1, np.int16), 16_000, np.zeros(1, np.int16), 24_000)
