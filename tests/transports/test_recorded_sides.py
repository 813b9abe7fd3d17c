"""The two sides of a recording: every sample in its place, whatever a network does to it."""

import random

import numpy as np
import pytest

from transports.recorded_sides import InputSide, OutputSide

RATE_HZ = 16_000
FRAME = 320
FRAME_SECS = 0.02
HOLD_SECS = 8.0


def sound(n_frames: int) -> np.ndarray:
    """No two frames alike, and no sample 0."""
    return (np.arange(n_frames * FRAME) % 30_000 + 1).astype("<i2")


def placed(arrivals: list[tuple[float, np.ndarray]]) -> np.ndarray:
    """What becomes of frames that end and come at these times, taken as they get old enough."""
    side = InputSide(RATE_HZ)
    taken = b""
    for end_secs, frame in arrivals:
        side.add(end_secs, frame.astype("<i2").tobytes())
        taken += side.take(end_secs - HOLD_SECS)
    return np.frombuffer(taken + side.take(float("inf")), "<i2")


def arriving(n_frames: int) -> list[tuple[float, np.ndarray]]:
    audio_s16 = sound(n_frames)
    return [((index + 1) * FRAME_SECS, audio_s16[index * FRAME : (index + 1) * FRAME]) for index in range(n_frames)]


def test_what_comes_evenly_is_left_as_it_came() -> None:
    np.testing.assert_array_equal(placed(arriving(1000)), sound(1000))


def test_what_a_network_held_back_for_five_seconds_is_put_where_it_was_said() -> None:
    frames = arriving(1500)
    held = [
        (max(end_secs, 15.0) if 500 <= index < 750 else end_secs, frame)
        for index, (end_secs, frame) in enumerate(frames)
    ]
    np.testing.assert_array_equal(placed(held), sound(1500))


def test_uneven_arrival_changes_nothing() -> None:
    chance = random.Random(3)
    uneven: list[tuple[float, np.ndarray]] = []
    latest_secs = 0.0
    for end_secs, frame in arriving(2000):
        latest_secs = max(latest_secs, end_secs + abs(chance.gauss(0, 0.04)) * (end_secs > FRAME_SECS))
        uneven.append((latest_secs, frame))
    # The last second is judged without what would have come after it.
    n_judged = 1950 * FRAME
    np.testing.assert_array_equal(placed(uneven)[:n_judged], sound(2000)[:n_judged])


def test_what_was_lost_is_a_hole_of_its_length_and_what_follows_is_in_its_place() -> None:
    frames = arriving(1500)
    audio_s16 = placed(frames[:500] + frames[600:])
    expected_s16 = sound(1500)
    expected_s16[500 * FRAME : 600 * FRAME] = 0
    np.testing.assert_array_equal(audio_s16, expected_s16)


def test_many_small_losses_never_move_the_rest_by_more_than_the_tolerance() -> None:
    chance = random.Random(5)
    frames = arriving(3000)
    kept = [frame for index, frame in enumerate(frames) if index == 0 or chance.random() > 0.05]
    audio_s16 = placed(kept)
    assert len(audio_s16) / RATE_HZ == pytest.approx(60.0, abs=0.031)
    for end_secs, frame in kept[::50]:
        at = round(end_secs * RATE_HZ) - FRAME
        nearby_s16 = audio_s16[max(0, at - 800) : at + FRAME + 800]
        # The frame as a whole is within 50 ms of its place.
        assert any(np.array_equal(nearby_s16[start : start + FRAME], frame) for start in range(len(nearby_s16) - FRAME))


@pytest.mark.parametrize("drift", [-200e-6, 200e-6])
def test_a_clients_clock_may_be_fast_or_slow_for_an_hour(drift: float) -> None:
    side = InputSide(RATE_HZ)
    frame = np.full(FRAME, 7, "<i2").tobytes()
    n_taken, end_secs = 0, 0.0
    for index in range(180_000):
        end_secs = (index + 1) * FRAME_SECS * (1 + drift)
        side.add(end_secs, frame)
        if index % 50 == 0:
            n_taken += len(side.take(end_secs - HOLD_SECS)) // 2
    n_taken += len(side.take(float("inf"))) // 2
    assert n_taken / RATE_HZ == pytest.approx(end_secs, abs=0.031)


def test_a_side_that_falls_silent_does_not_stop_time() -> None:
    side = InputSide(RATE_HZ)
    side.add(FRAME_SECS, b"\1\0" * FRAME)
    taken = b"".join(side.take(float(second)) for second in range(60))
    assert len(taken) // 2 == 59 * RATE_HZ
    # What comes after all is put where it belongs.
    side.add(61.0, b"\2\0" * FRAME)
    taken += side.take(float("inf"))
    audio_s16 = np.frombuffer(taken, "<i2")
    assert len(audio_s16) == 61 * RATE_HZ
    assert (audio_s16[-FRAME:] == 2).all()
    assert not audio_s16[FRAME:-FRAME].any()


def test_the_agents_sound_is_put_where_it_was_played() -> None:
    side = OutputSide(RATE_HZ)
    side.add(0.5, b"\1\0" * FRAME, exactly=True)
    # One sample of silence is one sample.
    side.add(0.52 + 1 / RATE_HZ, b"\2\0" * FRAME, exactly=True)
    # Not known to the sample, and near enough: joined.
    side.add(0.56, b"\3\0" * FRAME, exactly=False)
    side.add(2.0, b"\4\0" * FRAME, exactly=False)
    audio_s16 = np.frombuffer(side.take(RATE_HZ), "<i2")
    assert [int(np.flatnonzero(audio_s16 == value)[0]) for value in (1, 2, 3)] == [8000, 8321, 8641]
    rest_s16 = np.frombuffer(side.take(RATE_HZ + FRAME), "<i2")
    assert int(np.flatnonzero(rest_s16 == 4)[0]) == RATE_HZ


def test_a_cut_leaves_nothing_after_it() -> None:
    side = OutputSide(RATE_HZ)
    side.add(0.0, b"\1\0" * RATE_HZ, exactly=True)
    side.take(1000)
    side.cut(0.25)
    side.add(0.5, b"\2\0" * FRAME, exactly=True)
    audio_s16 = np.frombuffer(side.take(RATE_HZ - 1000), "<i2")
    assert np.flatnonzero(audio_s16 == 1).tolist() == list(range(3000))
    assert int(np.flatnonzero(audio_s16 == 2)[0]) == 7000
    side.cut(0.1)
    assert side.n_waiting == 0
