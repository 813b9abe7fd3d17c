"""Voice activity on real speech: how soon a voice is suspected, and how soon its end is noticed."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pipecat.audio.vad.vad_analyzer import VADParams, VADState

from processors.ear.silero import SharedSilero
from processors.ear.vad import SharedSileroVADAnalyzer
from tests.support.house import SPEECH, silero_session
from tests.support.sounds import cough
from transports.recording import Pcm16, load_recording
from transports.room import Room, RoomSpec

RATE_HZ = 16_000
WINDOW_SAMPLES = 512
BLOCK_SAMPLES = RATE_HZ // 100
SECOND_OF_SILENCE = np.zeros(RATE_HZ, np.int16)


class Ears:
    """The analyzer, window by window."""

    def __init__(self, **params: float) -> None:
        defaults = {"confidence": 0.7, "start_secs": 0.2, "stop_secs": 0.2, "min_volume": 0.3}
        self.analyzer = SharedSileroVADAnalyzer(
            SharedSilero(silero_session()), ThreadPoolExecutor(1), VADParams(**defaults | params)
        )
        self.analyzer.set_sample_rate(RATE_HZ)

    def hear(self, audio_s16: Pcm16) -> tuple[list[bool], list[VADState], list[bool]]:
        """After each whole window: whether voice is suspected, the state, whether the voice wavers."""
        suspects: list[bool] = []
        states: list[VADState] = []
        wavers: list[bool] = []
        for start in range(0, len(audio_s16) - WINDOW_SAMPLES + 1, WINDOW_SAMPLES):
            self.analyzer._run_analyzer(audio_s16[start : start + WINDOW_SAMPLES].astype("<i2").tobytes())
            suspects.append(self.analyzer.suspects)
            states.append(self.analyzer.state)
            wavers.append(self.analyzer.wavers)
        return suspects, states, wavers


def loud_windows(audio_s16: Pcm16) -> np.ndarray:
    """The windows above -50 dBFS."""
    windows = audio_s16[: len(audio_s16) // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)
    level = np.sqrt((windows.astype(np.float64) ** 2).mean(axis=1))
    return np.flatnonzero(level > 32768 * 10 ** (-50 / 20))


@pytest.mark.parametrize("name", ["how_are_you_today.wav", "what_time_is_it.wav", "kitchen_lights.wav"])
def test_a_voice_that_breaks_a_digital_silence_is_suspected_within_two_windows(name: str) -> None:
    audio_s16 = np.concatenate([SECOND_OF_SILENCE, load_recording(SPEECH / name).audio_s16])
    suspects, _, _ = Ears().hear(audio_s16)
    assert suspects.index(True) - loud_windows(audio_s16)[0] <= 1


def test_the_end_of_a_voice_is_noticed_within_three_windows() -> None:
    audio_s16 = np.concatenate([load_recording(SPEECH / "tell_me_a_story.wav").audio_s16, SECOND_OF_SILENCE])
    last = loud_windows(audio_s16)[-1]
    _, states, wavers = Ears().hear(audio_s16)
    assert VADState.SPEAKING in states[:last]
    assert any(wavers[last : last + 4])


def test_a_voice_below_the_least_volume_is_none() -> None:
    # Pipecat's scale: 0 is -110 dBFS and 1 is -10 dBFS, so that 0.6 is -50 dBFS.
    audio_s16 = load_recording(SPEECH / "tell_me_a_story.wav").audio_s16
    # 20 dB above and below that, at its loudest window.
    windows = audio_s16[: len(audio_s16) // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)
    loudest_dbfs = 10 * np.log10((windows.astype(np.float64) ** 2).mean(axis=1).max() / 32768**2)
    for aim_dbfs, is_heard in ((-30, True), (-70, False)):
        raised_s16 = np.round(audio_s16 * 10 ** ((aim_dbfs - loudest_dbfs) / 20)).astype(np.int16)
        suspects, states, _ = Ears(min_volume=0.6).hear(raised_s16)
        assert any(suspects) is is_heard
        assert (VADState.SPEAKING in states) is is_heard


@pytest.mark.parametrize("offset", range(0, WINDOW_SAMPLES, 64))
def test_a_lone_word_in_an_echoing_room_is_a_voice_wherever_a_window_begins(offset: int) -> None:
    room = Room(RoomSpec(rt60_secs=0.6, distance_m=1.0, noise_snr_db=25.0), seed=1)
    word_f32 = load_recording(SPEECH / "stop.wav").audio_s16.astype(np.float32) / np.float32(32768)
    before_f32, after_f32 = np.zeros(RATE_HZ + offset, np.float32), np.zeros(RATE_HZ, np.float32)
    said_f32 = np.concatenate([before_f32, word_f32, after_f32])
    blocks = said_f32[: len(said_f32) // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)
    silence_f32 = np.zeros(BLOCK_SAMPLES, np.float32)
    heard_f32 = np.concatenate([room.hear(block, silence_f32) for block in blocks])
    _, states, _ = Ears().hear(np.clip(np.round(heard_f32 * 32768), -32768, 32767).astype(np.int16))
    assert VADState.SPEAKING in states


@pytest.mark.parametrize("duration_secs", [0.2, 0.35, 0.6])
def test_coughs_are_no_voice(duration_secs: float) -> None:
    for seed in range(6):
        cough_s16 = cough(duration_secs, seed=seed).audio_s16
        _, states, _ = Ears().hear(np.concatenate([SECOND_OF_SILENCE, cough_s16, SECOND_OF_SILENCE]))
        assert VADState.SPEAKING not in states


def test_silence_and_noise_are_no_voice() -> None:
    noise_s16 = np.random.default_rng(3).normal(0, 300, 3 * RATE_HZ).astype(np.int16)
    for audio_s16 in (SECOND_OF_SILENCE, noise_s16):
        suspects, states, _ = Ears().hear(audio_s16)
        assert not any(suspects)
        assert set(states) == {VADState.QUIET}
