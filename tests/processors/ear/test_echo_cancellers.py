"""Both cancellers take the echo out, leave the user in, and let no block of another length near their libraries."""

import numpy as np
import pytest

from processors.ear.echo_cancellers import BLOCK_SAMPLES, Canceller, CancellerName, Pcm16, make_canceller
from tests.support.house import SPEECH
from transports.recording import load_recording
from transports.room import AGENT_DBFS, Room, RoomSpec, active_dbfs

NAMES: tuple[CancellerName, ...] = ("webrtc", "livekit")


def agent_s16() -> Pcm16:
    """Ten seconds of speech without pauses, at the agent's level."""
    parts = [load_recording(SPEECH / f"{name}.wav").audio_s16 for name in ("tell_me_a_story", "kitchen_lights")]
    speech_f32 = np.concatenate([*parts, *parts, *parts])[: 10 * 16_000].astype(np.float32) / np.float32(32768)
    return (speech_f32 * 10 ** ((AGENT_DBFS - active_dbfs(speech_f32)) / 20) * 32768).astype(np.int16)


def through(canceller: Canceller, mic_s16: Pcm16, far_s16: Pcm16) -> Pcm16:
    starts = range(0, len(mic_s16) // BLOCK_SAMPLES * BLOCK_SAMPLES, BLOCK_SAMPLES)
    return np.concatenate(
        [canceller.process(mic_s16[at : at + BLOCK_SAMPLES], far_s16[at : at + BLOCK_SAMPLES]) for at in starts]
    )


def level_db(audio_s16: Pcm16) -> float:
    return float(10 * np.log10(np.square(audio_s16.astype(np.float64)).mean() + 1e-3))


@pytest.mark.parametrize("name", NAMES)
def test_the_echo_of_a_room_is_taken_out(name: CancellerName) -> None:
    far_s16 = agent_s16()
    room = Room(RoomSpec.parse("rt60=0.3,echo_db=0,delay_ms=60,distance_m=0.5"))
    mic_s16 = np.frombuffer(room.hear_pcm16(bytes(2 * len(far_s16)), far_s16.tobytes()), "<i2")
    clean_s16 = through(make_canceller(name), mic_s16, far_s16)
    # Two seconds to converge; then at least 15 dB of what is 30 dB above the noise.
    assert level_db(mic_s16[32_000:]) - level_db(clean_s16[32_000:]) > 15


@pytest.mark.parametrize("name", NAMES)
def test_the_user_is_left_in_while_the_agent_is_silent(name: CancellerName) -> None:
    user_s16 = agent_s16()
    clean_s16 = through(make_canceller(name), user_s16, np.zeros_like(user_s16))
    # The high-pass filter takes the lowest tones of a voice, noise suppression a little of the rest.
    assert level_db(clean_s16[16_000:]) - level_db(user_s16[16_000:]) == pytest.approx(-2, abs=2.5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("n_mic", "n_far"), [(0, 0), (159, 159), (161, 161), (320, 320), (160, 320)])
def test_blocks_of_another_length_are_refused_before_the_library_sees_them(
    name: CancellerName, n_mic: int, n_far: int
) -> None:
    canceller = make_canceller(name)
    with pytest.raises(ValueError, match=rf"not \({n_mic},\) heard and \({n_far},\) played"):
        canceller.process(np.zeros(n_mic, np.int16), np.zeros(n_far, np.int16))
    assert canceller.process(np.zeros(160, np.int16), np.zeros(160, np.int16)).shape == (160,)
