"""The measure against the echo follows what is measured, counted in playback."""

import numpy as np
import pytest

from processors.ear.echo_meter import BLOCKS_PER_SEC, EchoMeter
from processors.ear.echo_tiers import EchoMode, TierChoice
from processors.frames import EchoTier
from tests.processors.ear.test_echo_meter import NOISE, Powers, echo_of, speech_powers


class Listening:
    """A meter and a choice that are told of one room, stretch by stretch."""

    def __init__(self, mode: EchoMode = "auto") -> None:
        self.meter, self.choice = EchoMeter(), TierChoice(mode)
        # (second of playback, tier, warmed up) of each change.
        self.changes: list[tuple[float, EchoTier, bool]] = []
        self._seed = 0

    def play(self, secs: float, *, erle_db: float = 20, echo_db: float = -10) -> None:
        """The agent speaks alone."""
        self._seed += 1
        played = speech_powers(secs, -23, self._seed)
        rng = np.random.default_rng(self._seed)
        noise = NOISE * rng.chisquare(40, len(played)) / 40
        echo = echo_of(played, gain_db=echo_db, delay_blocks=6)
        self._hear(played, echo + noise, echo / 10 ** (erle_db / 10) + noise)

    def rest(self, secs: float, user_dbfs: float | None = None) -> None:
        """The agent is silent; the user may speak."""
        user = np.zeros(round(secs * BLOCKS_PER_SEC)) if user_dbfs is None else speech_powers(secs, user_dbfs, 99)
        self._hear(np.zeros(len(user)), user + NOISE, user + NOISE)

    def _hear(self, played: Powers, mic: Powers, clean: Powers) -> None:
        for powers in zip(played, mic, clean, strict=True):
            self.meter.measure(*map(float, powers))
            if self.choice.look(self.meter):
                at_secs = self.meter.n_played / BLOCKS_PER_SEC
                self.changes.append((at_secs, self.choice.tier, self.choice.warmed_up))


def test_a_canceller_that_works_is_warm_after_a_second_of_playback() -> None:
    room = Listening()
    room.rest(1)
    room.play(10)
    assert [(tier, warm) for _, tier, warm in room.changes] == [(EchoTier.CANCEL, True)]
    assert 1.0 <= room.changes[0][0] <= 2.0


def test_a_device_that_loses_samples_lets_the_canceller_warm_up_anew() -> None:
    room = Listening()
    room.rest(1)
    room.play(6)
    assert room.choice.slip(room.meter)
    # What had been rated before says nothing: it takes another second of playback.
    room.play(0.9)
    assert not room.choice.warmed_up
    room.play(3)
    assert room.choice.warmed_up


def test_an_echo_that_jumps_again_and_again_is_not_taken_for_headphones() -> None:
    room = Listening()
    room.rest(1)
    room.play(4)
    for _ in range(20):
        room.choice.slip(room.meter)
        room.play(0.5, echo_db=-90)
    assert (room.choice.tier, room.choice.warmed_up) == (EchoTier.CANCEL, False)


@pytest.mark.parametrize("mode", ["off", "half_duplex"])
def test_what_does_not_cancel_is_not_troubled_by_lost_samples(mode: EchoMode) -> None:
    room = Listening(mode)
    before = (room.choice.tier, room.choice.warmed_up)
    assert not room.choice.slip(room.meter)
    assert (room.choice.tier, room.choice.warmed_up) == before


def test_silence_and_the_user_alone_warm_nothing_up() -> None:
    room = Listening()
    room.rest(30, user_dbfs=-26)
    assert (room.changes, room.choice.tier, room.choice.warmed_up) == ([], EchoTier.CANCEL, False)


def test_headphones_gate_nothing_and_need_no_warming_up() -> None:
    room = Listening()
    room.rest(1)
    room.play(10, echo_db=-90)
    assert room.changes == [(1.0, EchoTier.NONE, True)]


def test_headphones_that_are_pulled_out_are_noticed() -> None:
    room = Listening()
    room.rest(1)
    room.play(6, echo_db=-90)
    room.play(8)
    assert [(tier, warm) for _, tier, warm in room.changes] == [
        (EchoTier.NONE, True),
        (EchoTier.CANCEL, False),
        (EchoTier.CANCEL, True),
    ]
    # Six seconds without, then two of a sure echo, and a window that must first fill with it.
    assert 8.0 <= room.changes[1][0] <= 10.5


def test_headphones_that_are_put_on_are_noticed() -> None:
    room = Listening()
    room.rest(1)
    room.play(6)
    room.play(12, echo_db=-90)
    assert room.choice.tier is EchoTier.NONE


def test_a_canceller_that_fails_closes_the_gate_after_three_seconds_and_opens_it_when_it_works() -> None:
    room = Listening()
    room.rest(1)
    room.play(6, erle_db=4)
    assert [tier for _, tier, _ in room.changes] == [EchoTier.HALF_DUPLEX]
    # Three seconds of loud echo, and syllables that are too quiet to count.
    assert 3.0 <= room.changes[0][0] <= 5.0
    room.play(8, erle_db=20)
    assert [(tier, warm) for _, tier, warm in room.changes[1:]] == [(EchoTier.CANCEL, True)]


def test_between_the_two_limits_nothing_changes() -> None:
    room = Listening()
    room.rest(1)
    room.play(6, erle_db=4)
    room.play(10, erle_db=10)
    assert room.choice.tier is EchoTier.HALF_DUPLEX
    other = Listening()
    other.rest(1)
    other.play(16, erle_db=10)
    assert other.choice.tier is EchoTier.CANCEL


def test_a_faint_echo_never_closes_the_gate() -> None:
    room = Listening()
    room.rest(1)
    # About 7 dB above the noise: too little to judge the canceller by.
    room.play(15, erle_db=0, echo_db=-47)
    assert room.choice.tier is not EchoTier.HALF_DUPLEX


@pytest.mark.parametrize(
    ("mode", "tier", "warm"),
    [
        ("off", EchoTier.OFF, True),
        ("half_duplex", EchoTier.HALF_DUPLEX, False),
        ("cancel", EchoTier.CANCEL, False),
    ],
)
def test_a_forced_tier_stays(mode: EchoMode, tier: EchoTier, warm: bool) -> None:
    room = Listening(mode)
    room.rest(1)
    room.play(8, erle_db=2)
    assert (room.choice.tier, room.choice.warmed_up) == (tier, warm)
