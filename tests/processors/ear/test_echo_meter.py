"""Echo is measured: its delay and level, what the canceller takes off it, and what it does not account for."""

from typing import Any

import numpy as np
import pytest

from processors.ear.echo_meter import BLOCKS_PER_SEC, EchoMeter

NOISE = 1e-7
Powers = np.ndarray[Any, np.dtype[np.float64]]


def speech_powers(secs: float, dbfs: float, seed: int = 1) -> Powers:
    """Powers of 10 ms blocks that go up and down as syllables do."""
    rng = np.random.default_rng(seed)
    syllables_db = rng.normal(0, 8, round(secs * 6) + 2)
    n_blocks = round(secs * BLOCKS_PER_SEC)
    at, share = np.divmod(np.arange(n_blocks) * (len(syllables_db) - 1) / n_blocks, 1)
    before_db, after_db = syllables_db[at.astype(int)], syllables_db[at.astype(int) + 1]
    return 10 ** ((before_db + share * (after_db - before_db) + dbfs) / 10)


def echo_of(played: Powers, *, gain_db: float, delay_blocks: int) -> Powers:
    """Late, louder or quieter, with a tail that decays by 1.5 dB a block, which is a room of 0.4 s."""
    tail = 10 ** (-0.15 * np.arange(40))
    reverberant: Powers = np.convolve(played, tail / tail.sum()).real[: len(played)].astype(np.float64)
    late = np.concatenate([np.zeros(delay_blocks), reverberant])
    return late[: len(played)] * 10 ** (gain_db / 10)


def measure(meter: EchoMeter, played: Powers, mic: Powers, clean: Powers) -> None:
    for powers in zip(played, mic, clean, strict=True):
        meter.measure(*map(float, powers))


def converged(*, gain_db: float = -10, delay_blocks: int = 6, erle_db: float = 20) -> EchoMeter:
    """A meter after 1 s of silence and 8 s of the agent alone."""
    meter = EchoMeter()
    quiet = np.full(BLOCKS_PER_SEC, NOISE)
    measure(meter, np.zeros(BLOCKS_PER_SEC), quiet, quiet)
    played = speech_powers(8, -23)
    echo = echo_of(played, gain_db=gain_db, delay_blocks=delay_blocks)
    measure(meter, played, echo + NOISE, echo / 10 ** (erle_db / 10) + NOISE)
    return meter


@pytest.mark.parametrize("delay_blocks", [2, 6, 25])
def test_the_delay_is_found(delay_blocks: int) -> None:
    assert converged(delay_blocks=delay_blocks).delay_ms == pytest.approx(delay_blocks * 10, abs=20)


def test_the_echo_is_levelled_against_the_noise() -> None:
    for gain_db in (-10, -30):
        echo = echo_of(speech_powers(8, -23), gain_db=gain_db, delay_blocks=6)[-3 * BLOCKS_PER_SEC :]
        expected_db = 10 * np.log10(echo.mean() / NOISE)
        assert converged(gain_db=gain_db).echo_db == pytest.approx(expected_db, abs=2)


def test_the_reduction_is_that_of_the_canceller() -> None:
    assert converged(erle_db=20).erle_db(300) == pytest.approx(20, abs=1.5)
    assert converged(erle_db=4).erle_db(300) == pytest.approx(4, abs=1.5)


def test_prediction_and_microphone_are_alike_where_there_is_an_echo() -> None:
    assert converged().likeness > 0.9


def test_headphones_are_not_alike() -> None:
    meter = EchoMeter()
    rng = np.random.default_rng(3)
    played = speech_powers(6, -23)
    noise = NOISE * rng.chisquare(40, len(played)) / 40
    measure(meter, played, noise, noise)
    assert meter.likeness < 0.3


def further(meter: EchoMeter, *, user_db: float | None, leak: bool, played_gain_db: float = 0) -> float:
    """Excess after 1 s more of the agent, in which the user may speak so much louder than the full echo."""
    played = speech_powers(1, -23 + played_gain_db, seed=9)
    echo = echo_of(played, gain_db=-10, delay_blocks=6)
    user = 0.0 if user_db is None else echo.mean() * 10 ** ((user_db - played_gain_db) / 10)
    mic = echo + user + NOISE
    measure(meter, played, mic, mic if leak else mic - 0.99 * echo)
    return meter.excess_db


def test_the_echo_alone_is_accounted_for_even_where_the_canceller_fails() -> None:
    assert further(converged(), user_db=None, leak=False) == pytest.approx(0, abs=2)
    assert further(converged(), user_db=None, leak=True) == pytest.approx(0, abs=2)


def test_a_user_as_loud_as_the_echo_adds_to_it() -> None:
    # Twice the power, on average: 3 dB; a moment's syllables make it more or less.
    assert further(converged(), user_db=0, leak=False) > 1.5


def test_a_quiet_user_stands_out_once_the_agent_is_ducked() -> None:
    # 10 dB below the full echo is 10 dB above the ducked one.
    assert further(converged(), user_db=-10, leak=False, played_gain_db=-20) > 6
    assert further(converged(), user_db=None, leak=False, played_gain_db=-20) < 3


def test_nothing_is_measured_while_nothing_is_played() -> None:
    meter = EchoMeter()
    user = speech_powers(3, -26)
    measure(meter, np.zeros(len(user)), user, user)
    assert (meter.playing, meter.n_played, meter.n_loud, meter.erle_db(300), meter.likeness) == (False, 0, 0, 0, 0)


def test_digital_silence_is_no_division_by_zero() -> None:
    meter = EchoMeter()
    silence = np.zeros(200)
    measure(meter, silence, silence, silence)
    measure(meter, speech_powers(2, -23), silence, silence)
    assert np.isfinite([meter.excess_db, meter.echo_db, meter.likeness, meter.erle_db(300)]).all()
