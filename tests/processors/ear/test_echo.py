"""The agent does not hear itself and hears the user: the step behind the microphone, in a simulated room."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from pipecat.frames.frames import ErrorFrame, Frame, InputAudioRawFrame
from pipecat.tests.utils import run_test

from processors.ear.echo import REFERENCE, EchoCanceller, EchoControl, may_be_echo
from processors.ear.echo_cancellers import BLOCK_SAMPLES, Pcm16, delay_samples
from processors.ear.echo_tiers import EchoMode
from processors.frames import EchoTier, EchoTierFrame
from tests.support.house import SPEECH
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording
from transports.room import AGENT_DBFS, USER_DBFS, Room, RoomSpec, active_dbfs

RATE_HZ = 16_000
DELAY = delay_samples()  # what comes out is so late
ROOM = RoomSpec.parse("rt60=0.3,echo_db=0,delay_ms=60,distance_m=0.5,noise_snr_db=30")


def spoken(names: Sequence[str], secs: float, dbfs: float) -> Pcm16:
    """Recordings one after the other, from the beginning again until the time is full."""
    parts = [load_recording(SPEECH / f"{name}.wav").audio_s16[4_000:-6_000] for name in names]
    speech_s16 = np.resize(np.concatenate(parts), round(secs * RATE_HZ))
    speech_f32 = speech_s16.astype(np.float32) / np.float32(32768)
    return (speech_f32 * 10 ** ((dbfs - active_dbfs(speech_f32)) / 20) * 32768).astype(np.int16)


def agent(secs: float) -> Pcm16:
    return spoken(["kitchen_lights", "how_far_is_the_moon", "tell_me_a_story"], secs, AGENT_DBFS)


def silence(secs: float) -> Pcm16:
    return np.zeros(round(secs * RATE_HZ), np.int16)


def in_room(user_s16: Pcm16, played_s16: Pcm16, spec: RoomSpec = ROOM) -> Pcm16:
    return np.frombuffer(Room(spec).hear_pcm16(user_s16.tobytes(), played_s16.tobytes()), "<i2")


def frames(mic_s16: Pcm16, played_s16: Pcm16 | None, n_samples: int = 320) -> list[Frame]:
    made: list[Frame] = []
    for at in range(0, len(mic_s16), n_samples):
        frame = InputAudioRawFrame(mic_s16[at : at + n_samples].tobytes(), RATE_HZ, 1)
        if played_s16 is not None:
            frame.metadata[REFERENCE] = played_s16[at : at + n_samples].tobytes()
        made.append(frame)
    return made


async def through(sent: list[Frame], mode: EchoMode = "auto") -> tuple[list[InputAudioRawFrame], list[EchoTierFrame]]:
    received, _ = await run_test(EchoCanceller(mode=mode), frames_to_send=sent)
    sounds = [frame for frame in received if isinstance(frame, InputAudioRawFrame)]
    return sounds, [frame for frame in received if isinstance(frame, EchoTierFrame)]


def sound_of(sounds: list[InputAudioRawFrame]) -> Pcm16:
    return np.frombuffer(b"".join(frame.audio for frame in sounds), "<i2")


def level_db(audio_s16: Pcm16) -> float:
    return float(10 * np.log10(np.square(audio_s16.astype(np.float64)).mean() + 1e-3))


@pytest.mark.parametrize("n_samples", [160, 320])
@in_virtual_time
async def test_the_echo_is_gone_after_warm_up_and_so_is_the_reference(n_samples: int) -> None:
    played_s16 = agent(6)
    mic_s16 = in_room(silence(6), played_s16)
    sounds, _ = await through(frames(mic_s16, played_s16, n_samples))
    clean_s16 = sound_of(sounds)
    assert {frame.num_frames for frame in sounds} == {n_samples}
    assert len(clean_s16) == len(mic_s16)
    assert not any(REFERENCE in frame.metadata for frame in sounds)
    assert level_db(mic_s16[3 * RATE_HZ :]) - level_db(clean_s16[3 * RATE_HZ :]) > 15


@in_virtual_time
async def test_sound_without_a_reference_passes_untouched_and_unjudged() -> None:
    mic_s16 = in_room(spoken(["what_time_is_it"], 2, USER_DBFS), agent(2))
    sounds, tiers = await through(frames(mic_s16, None))
    assert np.array_equal(sound_of(sounds), mic_s16)
    assert tiers == []
    assert not any(may_be_echo(frame) for frame in sounds)


@in_virtual_time
async def test_while_the_agent_is_silent_the_user_is_left_as_the_microphone_heard_them() -> None:
    mic_s16 = in_room(spoken(["what_time_is_it", "hello_world"], 3, USER_DBFS), silence(3))
    sounds, _ = await through(frames(mic_s16, silence(3)))
    assert np.array_equal(sound_of(sounds)[DELAY:], mic_s16[:-DELAY])
    assert not any(may_be_echo(frame) for frame in sounds)


@in_virtual_time
async def test_between_left_alone_and_cancelled_there_is_no_click() -> None:
    tone_s16 = (np.sin(np.arange(RATE_HZ * 3) * 2 * np.pi * 500 / RATE_HZ) * 3000).astype(np.int16)
    played_s16 = np.concatenate([silence(1), agent(0.5), silence(1.5)])
    sounds, _ = await through(frames(tone_s16, played_s16))
    # The steepest step of the tone itself is 3000 * 2 pi 500 / 16000 = 589.
    assert np.abs(np.diff(sound_of(sounds).astype(np.int32))).max() < 1200


@in_virtual_time
async def test_frames_that_are_no_whole_blocks_lose_nothing() -> None:
    mic_s16 = in_room(spoken(["hello_world"], 1.2, USER_DBFS), silence(1.2))
    sounds, _ = await through(frames(mic_s16, silence(1.2), n_samples=100))
    assert np.array_equal(sound_of(sounds)[DELAY:], mic_s16[:-DELAY])
    assert {frame.num_frames for frame in sounds} == {BLOCK_SAMPLES}


@in_virtual_time
async def test_tiers_are_told_at_the_first_frame_and_at_every_change() -> None:
    played_s16 = np.concatenate([silence(1), agent(5)])
    mic_s16 = in_room(silence(6), played_s16)
    _, tiers = await through(frames(mic_s16, played_s16))
    assert [(frame.tier, frame.warmed_up) for frame in tiers] == [(EchoTier.CANCEL, False), (EchoTier.CANCEL, True)]
    assert tiers[1].delay_ms == pytest.approx(60, abs=20)
    assert tiers[1].erle_db > 8
    # The user is 30 dB above the noise, and the echo as loud as the user.
    assert tiers[1].echo_db == pytest.approx(30, abs=5)


@in_virtual_time
async def test_with_headphones_nothing_is_gated() -> None:
    played_s16 = np.concatenate([silence(1), agent(4)])
    user_s16 = np.concatenate([silence(3), spoken(["what_time_is_it"], 2, USER_DBFS)])
    headphones = RoomSpec.parse("echo_db=-60,rt60=0.3")
    sounds, tiers = await through(frames(in_room(user_s16, played_s16, headphones), played_s16))
    assert [(frame.tier, frame.warmed_up) for frame in tiers] == [(EchoTier.CANCEL, False), (EchoTier.NONE, True)]
    assert not any(may_be_echo(frame) for frame in sounds[150:])
    assert level_db(sound_of(sounds)[3 * RATE_HZ :]) > level_db(user_s16[3 * RATE_HZ :]) - 6


@in_virtual_time
async def test_half_duplex_is_deaf_until_the_room_is_silent_again() -> None:
    played_s16 = np.concatenate([silence(1), agent(2), silence(2)])
    played_s16[3 * RATE_HZ - 160 : 3 * RATE_HZ] = 3000
    user_s16 = spoken(["kitchen_lights"], 5, USER_DBFS)
    sounds, tiers = await through(frames(in_room(user_s16, played_s16), played_s16), "half_duplex")
    assert [frame.tier for frame in tiers] == [EchoTier.HALF_DUPLEX]
    loud = np.flatnonzero(np.abs(sound_of(sounds).reshape(-1, BLOCK_SAMPLES)).max(axis=1) > 0)
    # The first blocks are silent because everything is late.
    deaf = sorted(set(range(1 + DELAY // BLOCK_SAMPLES, 500)) - set(loud.tolist()))
    # From the first audible block to 350 ms after the last one, and a delay that is taken for 100 ms at least.
    assert deaf == list(range(deaf[0], deaf[-1] + 1))
    assert deaf[0] / 100 == pytest.approx(1.0, abs=0.1)
    assert (deaf[-1] + 1) / 100 == pytest.approx(3.0 + 0.35 + 0.1, abs=0.02)


@in_virtual_time
async def test_off_leaves_every_byte() -> None:
    played_s16 = agent(2)
    mic_s16 = in_room(silence(2), played_s16)
    sounds, tiers = await through(frames(mic_s16, played_s16), "off")
    assert np.array_equal(sound_of(sounds), mic_s16)
    assert [(frame.tier, frame.warmed_up) for frame in tiers] == [(EchoTier.OFF, True)]
    assert not any(REFERENCE in frame.metadata or may_be_echo(frame) for frame in sounds)


@pytest.mark.parametrize(
    ("frame", "reference"),
    [
        (InputAudioRawFrame(bytes(640), RATE_HZ, 1), bytes(320)),
        (InputAudioRawFrame(bytes(640), 48_000, 1), bytes(640)),
        (InputAudioRawFrame(bytes(640), RATE_HZ, 2), bytes(640)),
    ],
)
@in_virtual_time
async def test_a_reference_that_does_not_fit_is_an_error_that_shows_both(
    frame: InputAudioRawFrame, reference: bytes
) -> None:
    frame.metadata[REFERENCE] = reference
    _, errors = await run_test(EchoCanceller(), frames_to_send=[frame])
    [error] = [error for error in errors if isinstance(error, ErrorFrame)]
    assert "echo cancelling takes 16000 Hz mono with a reference of the same length" in error.error
    assert f"{len(frame.audio)} and {len(reference)} bytes" in error.error


def hear(control: EchoControl, mic_s16: Pcm16, played_s16: Pcm16) -> list[bool]:
    """Whether it may be echo, after each block."""
    judged: list[bool] = []
    for at in range(0, len(mic_s16), BLOCK_SAMPLES):
        control.process(mic_s16[at : at + BLOCK_SAMPLES], played_s16[at : at + BLOCK_SAMPLES])
        judged.append(control.may_be_echo)
    return judged


class Broken:
    """A fake at the edge: a canceller that works for a while, then takes nothing away."""

    def __init__(self, n_good_blocks: int) -> None:
        self._n_good_blocks = n_good_blocks

    def process(self, mic_s16: Pcm16, far_s16: Pcm16) -> Pcm16:
        self._n_good_blocks -= 1
        return mic_s16 // 30 if self._n_good_blocks >= 0 else mic_s16


def test_what_a_failing_canceller_leaves_is_still_known_for_echo() -> None:
    played_s16 = np.concatenate([silence(1), agent(7)])
    judged = hear(EchoControl(canceller=Broken(500)), in_room(silence(8), played_s16), played_s16)
    assert all(judged[500:])


def test_an_echo_that_is_suddenly_louder_is_known_by_being_cancelled() -> None:
    played_s16 = np.concatenate([silence(1), agent(7)])
    # The volume goes up by 10 dB at 4 s.
    louder = replace(ROOM, volume_secs=4, volume_db=10, clip="none")
    judged = hear(EchoControl(), in_room(silence(8), played_s16, louder), played_s16)
    assert all(judged[300:])


def test_a_user_over_a_ducked_agent_is_known_for_one() -> None:
    played_s16 = np.concatenate([silence(1), agent(5), agent(2) // 10])
    user_s16 = np.concatenate([silence(6), spoken(["what_time_is_it"], 2, USER_DBFS)])
    loud_echo = RoomSpec.parse("rt60=0.3,echo_db=10,delay_ms=60,distance_m=0.5")
    judged = hear(EchoControl(), in_room(user_s16, played_s16, loud_echo), played_s16)
    assert all(judged[300:600])
    # The user is 10 dB above an echo that was 10 dB above them; the first 200 ms fill the window.
    assert judged[620:720].count(False) > 50


def test_the_users_words_are_no_echo_as_soon_as_the_room_is_silent() -> None:
    played_s16 = np.concatenate([silence(1), agent(3), silence(2)])
    judged = hear(EchoControl(), in_room(silence(6), played_s16), played_s16)
    # What was played can be heard for 640 ms.
    assert not any(judged[400 + 65 :])
