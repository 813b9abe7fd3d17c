"""The benches of tool calls and of notes run, and hold what they print."""

import pytest

from tests.bench import compaction, spoken_calls
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_no_piece_of_a_call_is_spoken_and_no_word_is_lost() -> None:
    found = await spoken_calls.measure(20, seed=3)
    assert (found.spoken, found.n_lost, found.n_streams) == ([], 0, 20)
    assert found.n_calls >= 20
    assert found.n_made == 20


@pytest.mark.parametrize("one_by_one", [True, False])
@in_virtual_time
async def test_no_turn_waits_for_notes(one_by_one: bool) -> None:
    found = await compaction.compare(9, 2.0, one_by_one=one_by_one)
    assert found.n_notes > 0
    assert (found.n_late, len(found.late_secs)) == (0, 10)
