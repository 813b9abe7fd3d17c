"""The closed loop of the echo benchmark, short: no self-trigger, the user is heard, and the rows differ."""

from dataclasses import replace

import pytest

from tests.bench.echo.__main__ import ROWS
from tests.bench.echo.material import ESPEAK_VOICES, Material, Timeline, load_material, make_timeline
from tests.bench.echo.measures import word_errors
from tests.bench.echo.rooms import ECHO_DB, room_spec
from tests.bench.echo.trial import Trial, run_trial

ROOM = replace(room_spec(4), delay_ms=60)


@pytest.fixture(scope="module")
def material() -> Material:
    return load_material()


@pytest.fixture(scope="module")
def timeline(material: Material) -> Timeline:
    return make_timeline(material, ESPEAK_VOICES[0], 3, agent_secs=8, n_barge_ins=2, n_near=1)


def held(name: str, timeline: Timeline) -> Trial:
    row = next(row for row in ROWS if row.name == name)
    return run_trial(row, ROOM, ESPEAK_VOICES[0], 1, timeline)


def decisions(trial: Trial, kind: str) -> list[int]:
    return [len(item.decisions_secs) for item in trial.heard if item.stretch.kind == kind]


def test_the_agent_does_not_hear_itself_and_hears_the_user_cut_in(timeline: Timeline) -> None:
    trial = held("ours", timeline)
    assert decisions(trial, "agent") == [0]
    assert decisions(trial, "near") == [1]
    assert all(decisions(trial, "barge_in"))
    # Convergence is told once, within the 3 s of warm-up that begin at 4.5 s.
    assert [(tier, warm) for _, tier, warm in trial.tiers] == [("cancel", True)]
    assert trial.tiers[0][0] < 7.5


def test_without_any_measure_it_hears_itself(timeline: Timeline) -> None:
    assert decisions(held("nothing", timeline), "agent")[0] > 0


def test_half_duplex_hears_nobody_while_it_speaks(timeline: Timeline) -> None:
    trial = held("half-duplex", timeline)
    assert decisions(trial, "agent") == [0]
    assert decisions(trial, "barge_in") == [0, 0]
    assert decisions(trial, "near") == [1]


def test_a_timeline_is_the_same_for_the_same_seed(material: Material, timeline: Timeline) -> None:
    again = make_timeline(material, ESPEAK_VOICES[0], 3, agent_secs=8, n_barge_ins=2, n_near=1)
    assert (again.user_f32 == timeline.user_f32).all()
    assert (again.agent_f32 == timeline.agent_f32).all()
    kinds = [stretch.kind for stretch in timeline.stretches]
    assert kinds == ["near", "agent", "barge_in", "barge_in"]
    # 1 s, a slot of 3.5 s, 3 s of warm-up, 8 s alone, two slots of 8 s.
    assert len(timeline.user_f32) == round(31.5 * 16_000)


def test_three_rooms_in_a_row_have_the_three_sizes_of_echo() -> None:
    assert [room_spec(index).echo_db for index in range(6)] == [*ECHO_DB, *ECHO_DB]
    assert room_spec(5) == room_spec(5)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [
        ("tell me a story", "tell me a story", 0.0),
        ("tell me a story", "", 1.0),
        ("tell me a story", "Tell me the story.", 0.25),
        ("tell me a story", "me a story please", 0.5),
        ("", "", 0.0),
    ],
)
def test_word_errors_are_counted_per_word(reference: str, hypothesis: str, errors: float) -> None:
    assert word_errors(reference, hypothesis) == errors
