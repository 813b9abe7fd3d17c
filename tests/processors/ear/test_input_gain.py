"""Gain: quiet speech is raised to one level, loud speech and noise are left alone, nothing is clipped."""

from pathlib import Path

import numpy as np
import pytest

from processors.ear.input_gain import CEILING, GainControl, Samples
from tests.support.house import SPEECH
from transports.recording import load_recording

FRAME = 320  # 20 ms at 16 kHz


def level_dbfs(audio_s16: Samples) -> float:
    """RMS of the frames within 25 dB of the loudest."""
    frames = audio_s16[: len(audio_s16) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    power = np.square(frames).mean(axis=1) / 32768**2 + 1e-12
    return float(10 * np.log10(power[power > power.max() / 10**2.5].mean()))


def at_level(audio_s16: Samples, dbfs: float) -> Samples:
    raised = audio_s16 * 10 ** ((dbfs - level_dbfs(audio_s16)) / 20)
    return np.clip(np.round(raised), -32768, 32767).astype(np.int16)


def through(control: GainControl, audio_s16: Samples, *, measure: bool = True) -> Samples:
    frames = [audio_s16[at : at + FRAME] for at in range(0, len(audio_s16), FRAME)]
    return np.concatenate([control.apply(frame, 16_000, measure=measure) for frame in frames])


@pytest.fixture
def spoken_s16() -> Samples:
    one = load_recording(SPEECH / "capital_of_germany.wav").audio_s16
    other = load_recording(SPEECH / "tell_me_a_story.wav").audio_s16
    return np.concatenate([one, other])


@pytest.mark.parametrize("dbfs", [-26, -32, -40, -45])
def test_speech_of_any_quiet_level_comes_out_at_one(spoken_s16: Samples, dbfs: float) -> None:
    control = GainControl(-20, 30)
    through(control, at_level(spoken_s16, dbfs))
    # The second time the level is known from the beginning.
    assert level_dbfs(through(control, at_level(spoken_s16, dbfs))) == pytest.approx(-22, abs=3)


def test_the_first_words_are_raised_within_half_a_second(spoken_s16: Samples) -> None:
    control = GainControl(-20, 30)
    voice_s16 = at_level(spoken_s16, -45)[4_800:]  # the voice begins 0.3 s into the recording
    raised_s16 = through(control, voice_s16)
    assert level_dbfs(raised_s16[8_000:16_000]) > level_dbfs(voice_s16[8_000:16_000]) + 15


def test_loud_speech_is_left_as_it_is(spoken_s16: Samples) -> None:
    loud_s16 = at_level(spoken_s16, -14)
    control = GainControl(-20, 30)
    # The onset of the very first syllable is quieter than what follows.
    assert level_dbfs(through(control, loud_s16)) == pytest.approx(-14, abs=0.5)
    assert np.array_equal(through(control, loud_s16), loud_s16)


@pytest.mark.parametrize("dbfs", [-55, -45, -32, -22])
def test_no_sample_is_clipped(spoken_s16: Samples, dbfs: float) -> None:
    quiet_s16 = at_level(spoken_s16, dbfs)
    click_s16 = np.zeros(8_000, np.int16)
    click_s16[4_000:4_010] = 30_000  # a knock on the microphone while the gain is high
    raised_s16 = through(GainControl(-20, 30), np.concatenate([quiet_s16, click_s16, quiet_s16]))
    over = np.abs(raised_s16.astype(int)) > CEILING
    assert over.sum() == 0 or np.abs(np.concatenate([quiet_s16, click_s16, quiet_s16])[over].astype(int)).min() > 29_000


def test_steady_noise_is_not_raised() -> None:
    noise_s16 = np.random.default_rng(2).normal(0, 60, 16_000 * 8).astype(np.int16)  # -55 dBFS
    control = GainControl(-20, 30)
    assert np.array_equal(through(control, noise_s16), noise_s16)


def test_what_sounds_while_the_agent_speaks_is_not_measured(spoken_s16: Samples) -> None:
    control = GainControl(-20, 30)
    echo_s16 = at_level(spoken_s16, -50)
    assert np.array_equal(through(control, echo_s16, measure=False), echo_s16)


def test_a_quieter_speaker_is_followed(spoken_s16: Samples) -> None:
    control = GainControl(-20, 30)
    through(control, at_level(spoken_s16, -18))
    quiet_s16 = at_level(spoken_s16, -42)
    through(control, np.concatenate([quiet_s16, quiet_s16]))
    assert level_dbfs(through(control, quiet_s16)) > -28


@pytest.mark.parametrize("audio_s16", [np.zeros(0, np.int16), np.zeros(320, np.int16), np.full(1, -32768, np.int16)])
def test_odd_frames_pass(audio_s16: Samples) -> None:
    assert np.array_equal(GainControl(-20, 30).apply(audio_s16, 16_000), audio_s16)


def test_people_with_a_quiet_microphone_are_raised(shared_audio: Path) -> None:
    # reader1_* are near -32 dBFS RMS.
    for path in sorted(shared_audio.glob("reader1_*.wav")):
        control = GainControl(-20, 30)
        quiet_s16 = load_recording(path).audio_s16
        raised_s16 = through(control, np.concatenate([quiet_s16, quiet_s16]))[len(quiet_s16) :]
        assert level_dbfs(raised_s16) > level_dbfs(quiet_s16) + 3
        assert np.abs(raised_s16.astype(int)).max() < 32_767
