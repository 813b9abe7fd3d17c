"""The simulated room keeps its word: level, delay, drift, reverberation, loudspeaker, noise, and a closed loop."""

from dataclasses import replace

import numpy as np
import pytest
import soxr

from agent.commands.replay import level_dbfs
from processors.tts.espeak import EspeakSynthesizer
from transports.room import AGENT_DBFS, USER_DBFS, Room, RoomError, RoomSpec, active_dbfs
from transports.room_acoustics import Audio, Convolver, DelayLine, room_response, soft_clip

RATE_HZ = 16_000
BLOCK = 160
# As little as a description allows of everything that a test does not look at.
PLAIN = RoomSpec(rt60_secs=0.05, distance_m=0.1, clip="none", noise_snr_db=100, delay_ms=20)


def noise(secs: float, dbfs: float, seed: int = 1) -> Audio:
    white = np.random.default_rng(seed).standard_normal(round(secs * RATE_HZ))
    return (white * 10 ** (dbfs / 20)).astype(np.float32)


def heard(room: Room, user_f32: Audio | None, played_f32: Audio | None) -> Audio:
    length = len(user_f32 if user_f32 is not None else played_f32 if played_f32 is not None else ())
    silence = np.zeros(length, np.float32)
    user_f32, played_f32 = (side if side is not None else silence for side in (user_f32, played_f32))
    blocks = [room.hear(user_f32[at : at + BLOCK], played_f32[at : at + BLOCK]) for at in range(0, length, BLOCK)]
    return np.concatenate(blocks)


def dbfs(audio_f32: Audio) -> float:
    return float(10 * np.log10(np.square(audio_f32.astype(np.float64)).mean() + 1e-20))


def lag_samples(late_f32: Audio, early_f32: Audio) -> int:
    # It takes half a second to import.
    from scipy.signal import correlate

    return int(np.argmax(np.abs(correlate(late_f32, early_f32)))) - (len(early_f32) - 1)


def test_a_description_sets_what_it_names_and_keeps_the_rest() -> None:
    text = "rt60=0.6, echo_db=-10,delay_ms=250,drift_ppm=100,noise_snr_db=25,distance_m=1,clip=hard,slip=20"
    expected = RoomSpec(0.6, -10, 250, 100, 25, 1, "hard", slip_secs=20)
    assert RoomSpec.parse(text) == expected
    assert RoomSpec.parse("echo_db=0,") == RoomSpec()
    assert RoomSpec.parse("volume_db=-12,volume_secs=5") == RoomSpec(volume_db=-12, volume_secs=5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rt60=0.4,eco_db=0", "unknown key 'eco_db': choose from rt60, echo_db, "),
        ("", "the description is empty: write rt60=0.4,echo_db=0"),
        (" , ", "the description is empty"),
        ("rt60=long", "rt60=long is not a number"),
        ("rt60=nan", "rt60=nan is out of bounds"),
        ("delay_ms=0", "delay_ms=0 is out of bounds: from 1 to 1000"),
        ("clip=much", "clip=much is unknown: none, soft, hard"),
        ("rt60", "rt60 has no value: write rt60=VALUE"),
        ("rt60=", "rt60 has no value: write rt60=VALUE"),
        ("rt60=0.3,rt60=0.4", "rt60 is given twice"),
    ],
)
def test_a_wrong_description_is_one_line_that_names_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(RoomError) as caught:
        RoomSpec.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("echo_db", [-10.0, 0.0, 10.0])
def test_the_echo_has_its_level_against_the_user(echo_db: float) -> None:
    room = Room(replace(PLAIN, rt60_secs=0.3, distance_m=1, echo_db=echo_db))
    echo_f32 = heard(room, None, noise(4, AGENT_DBFS))
    user_f32 = heard(Room(room.spec), noise(4, USER_DBFS), None)
    assert dbfs(user_f32[RATE_HZ:]) == pytest.approx(USER_DBFS, abs=1)
    assert dbfs(echo_f32[RATE_HZ:]) - USER_DBFS == pytest.approx(echo_db, abs=1)


@pytest.mark.parametrize("delay_ms", [20, 60, 250])
def test_the_echo_comes_after_the_delay(delay_ms: int) -> None:
    played_f32 = noise(1, AGENT_DBFS)
    mic_f32 = heard(Room(replace(PLAIN, delay_ms=delay_ms)), None, played_f32)
    assert lag_samples(mic_f32, played_f32) == delay_ms * RATE_HZ // 1000


def test_a_drifting_loudspeaker_comes_later_and_later() -> None:
    played_f32 = noise(21, AGENT_DBFS)
    mic_f32 = heard(Room(replace(PLAIN, drift_ppm=200)), None, played_f32)
    at = 20 * RATE_HZ
    # 20 ms, and 200 millionths of about 20.2 s: 320 + 64.6 samples.
    assert lag_samples(mic_f32[at : at + 6400], played_f32[at : at + 6400]) == pytest.approx(385, abs=1)


def test_drift_of_a_block_makes_the_device_drop_one() -> None:
    played_f32 = noise(12, AGENT_DBFS)
    mic_f32 = heard(Room(replace(PLAIN, drift_ppm=1000)), None, played_f32)
    # 10 ms of drift are reached after 10 s; what is left at 11.2 s is that of 1.2 s: 19 samples.
    at = 11 * RATE_HZ
    assert lag_samples(mic_f32[at : at + 6400], played_f32[at : at + 6400]) == pytest.approx(320 + 19, abs=2)


def test_a_slip_moves_the_echo_by_a_block_and_back() -> None:
    played_f32 = noise(3, AGENT_DBFS)
    mic_f32 = heard(Room(replace(PLAIN, slip_secs=1)), None, played_f32)
    lags = [lag_samples(mic_f32[at : at + 8000], played_f32[at : at + 8000]) for at in (3200, 19_200, 35_200)]
    assert lags == [320, 480, 320]


@pytest.mark.parametrize("rt60_secs", [0.2, 0.4, 0.6])
def test_reverberation_decays_by_sixty_db_in_its_time(rt60_secs: float) -> None:
    response = room_response(rt60_secs, 1.0, RATE_HZ, np.random.default_rng(0)).astype(np.float64)
    left = np.cumsum(np.square(response)[::-1])[::-1]
    left_db = 10 * np.log10(left / left[RATE_HZ // 100])
    fallen = [int(np.argmax(left_db < level)) for level in (-5, -25)]
    # 20 dB take a third of the time that 60 dB take.
    assert 3 * (fallen[1] - fallen[0]) / RATE_HZ == pytest.approx(rt60_secs, rel=0.15)


def test_the_direct_sound_is_stronger_near_the_loudspeaker() -> None:
    responses = [room_response(0.4, distance_m, RATE_HZ, np.random.default_rng(0)) for distance_m in (0.3, 1, 2)]
    shares = [float(response[0]) ** 2 for response in responses]
    # Direct and reverberant energy are equal at 0.57 m in 40 cubic metres: d2 / (d2 + r2).
    assert shares == pytest.approx([0.78, 0.25, 0.075], abs=0.02)


def test_convolving_in_blocks_is_convolving() -> None:
    response, sound_f32 = noise(0.3, -20), noise(1, -20, seed=2)
    convolver = Convolver(response, BLOCK)
    blocks = [convolver(sound_f32[at : at + BLOCK]) for at in range(0, len(sound_f32), BLOCK)]
    from scipy.signal import fftconvolve

    expected = fftconvolve(sound_f32, response)[: len(sound_f32)]
    assert np.concatenate(blocks) == pytest.approx(expected, abs=1e-4)


def test_a_delay_of_half_a_sample_lies_between_two_samples() -> None:
    times = np.arange(3200)
    tone_f32 = np.sin(2 * np.pi * 1000 / RATE_HZ * times).astype(np.float32)
    line = DelayLine(BLOCK, 100)
    blocks = [line(tone_f32[at : at + BLOCK], 20.5, 20.5) for at in range(0, len(tone_f32), BLOCK)]
    expected = np.sin(2 * np.pi * 1000 / RATE_HZ * (times - 20.5))
    assert np.concatenate(blocks)[200:] == pytest.approx(expected[200:], abs=0.01)


def test_a_loudspeaker_driven_hard_rounds_peaks_off_and_leaves_quiet_sound() -> None:
    tone_f32 = np.sin(np.linspace(0, 20 * np.pi, 1600)).astype(np.float32)
    assert float(soft_clip(tone_f32, 2.0).max()) == pytest.approx(np.tanh(2) / 2, abs=1e-3)
    quiet_f32 = tone_f32 * np.float32(0.01)
    assert soft_clip(quiet_f32, 2.0) == pytest.approx(quiet_f32, rel=1e-3)
    assert np.array_equal(soft_clip(tone_f32, 0.0), tone_f32)


def test_an_agent_that_lowers_its_voice_is_heard_less() -> None:
    loud_f32 = noise(2, AGENT_DBFS)
    levels = [dbfs(heard(Room(PLAIN), None, loud_f32 * np.float32(gain))) for gain in (1, 0.1)]
    assert levels[0] - levels[1] == pytest.approx(20, abs=0.1)


def test_noise_has_its_level_against_the_user_and_more_of_it_below_than_above() -> None:
    silence = np.zeros(5 * RATE_HZ, np.float32)
    room_noise = heard(Room(RoomSpec.parse("noise_snr_db=20")), silence, None)
    assert dbfs(room_noise) == pytest.approx(USER_DBFS - 20, abs=0.5)
    power = np.square(np.abs(np.fft.rfft(room_noise)))
    below, above = np.split(power, [len(power) // 8])
    # Under 1 kHz lies an eighth of the band.
    assert below.sum() > 2 * above.sum()


def test_the_volume_goes_down_and_up_again() -> None:
    mic_f32 = heard(Room(replace(PLAIN, volume_secs=1, volume_db=-6)), None, noise(3, AGENT_DBFS))
    levels = [dbfs(mic_f32[at : at + 8000]) for at in (4000, 20_000, 36_000)]
    assert [levels[1] - levels[0], levels[2] - levels[0]] == pytest.approx([-6, 0], abs=0.3)


def test_a_seed_gives_the_same_room_every_time() -> None:
    sound_f32 = noise(0.5, -20)
    first, again, other = (heard(Room(RoomSpec(), seed=seed), sound_f32, sound_f32) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_blocks_of_other_lengths_are_refused_with_their_lengths() -> None:
    room = Room(RoomSpec())
    with pytest.raises(ValueError, match="not 100 said and 100 played"):
        room.hear(np.zeros(100, np.float32), np.zeros(100, np.float32))
    with pytest.raises(ValueError, match="not 160 said and 320 played"):
        room.hear(np.zeros(160, np.float32), np.zeros(320, np.float32))


def test_bytes_go_through_as_samples_do() -> None:
    user, played = (noise(0.02, -20, seed=seed) for seed in (1, 2))
    as_bytes = [np.round(side * 32768).astype("<i2") for side in (user, played)]
    mic = Room(RoomSpec()).hear_pcm16(*(side.tobytes() for side in as_bytes))
    expected = Room(RoomSpec()).hear(*((side / 32768).astype(np.float32) for side in as_bytes))
    assert np.frombuffer(mic, "<i2") == pytest.approx(expected * 32768, abs=0.51)


def test_the_active_level_leaves_silence_out() -> None:
    spoken_f32 = np.concatenate([noise(1, -20), np.zeros(3 * RATE_HZ, np.float32)])
    assert active_dbfs(spoken_f32) == pytest.approx(-20, abs=0.3)
    assert active_dbfs(np.zeros(RATE_HZ, np.float32)) == -100
    assert active_dbfs(np.zeros(0, np.float32)) == -100


def test_the_echo_is_as_loud_as_its_level_says_whatever_the_voice() -> None:
    voice = EspeakSynthesizer(voice="en-us+f3")
    pcm16 = b"".join(chunk.pcm16 for chunk in voice.synthesize("The kettle boils, and somebody knocks at the door."))
    spoken_f32 = np.asarray(
        soxr.resample(np.frombuffer(pcm16, "<i2").astype(np.float32) / 32768, voice.sample_rate_hz, 16_000)
    )
    spoken_f32 = spoken_f32[: len(spoken_f32) // BLOCK * BLOCK]
    spec = RoomSpec(rt60_secs=0.2, echo_db=-3, clip="none", noise_snr_db=80)
    room = Room(spec, user_dbfs=-26, agent_dbfs=level_dbfs(voice))
    # Reverberation fills the pauses a little.
    assert active_dbfs(heard(room, None, spoken_f32)) == pytest.approx(-29, abs=1.5)
