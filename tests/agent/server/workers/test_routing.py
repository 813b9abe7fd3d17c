"""Whom a request goes to: calls to the worker with the fewest, names to the one that made them, in the test's time."""

import secrets
from collections import Counter
from collections.abc import Iterator

import pytest

from agent import own_names
from agent.own_names import home_of, own_name
from agent.server.workers.restarts import FIRST_DELAY_SECS, LASTING_SECS, MOST_DELAY_SECS, Restarts
from agent.server.workers.routing import ARRIVAL_SECS, MAX_PAGES, Routing


class Clock:
    def __init__(self) -> None:
        self.secs = 100.0

    def __call__(self) -> float:
        return self.secs


def routing(of: int = 3, most: int = 4, clock: Clock | None = None) -> Routing:
    table = Routing(of, most, clock or Clock())
    table.up, table.ready = set(range(of)), set(range(of))
    return table


def name_of(number: int, of: int) -> str:
    return next(name for name in map(str, range(1000)) if home_of(name, of) == number)


@pytest.fixture
def settled() -> Iterator[None]:
    yield
    own_names.settle(0, 1)


def test_calls_that_come_at_once_are_spread_before_any_has_a_place() -> None:
    table = routing()
    assert Counter(table.newcomer() for _ in range(6)) == {0: 2, 1: 2, 2: 2}


def test_a_call_goes_to_the_worker_that_holds_fewest() -> None:
    clock = Clock()
    table = routing(clock=clock)
    for number in (0, 0, 1):
        assert table.place(number)
    assert table.newcomer() == 2
    clock.secs += ARRIVAL_SECS
    # It did not come about.
    assert table.newcomer() == 2
    table.left(0)
    table.left(0)
    clock.secs += ARRIVAL_SECS
    assert {table.newcomer() for _ in range(2)} == {0, 2}


def test_a_call_that_came_about_counts_once() -> None:
    table = routing(2)
    assert table.newcomer() == 0
    assert table.place(0)
    # One call against none; were the arrival counted as well, two calls would follow.
    assert [table.newcomer(), table.newcomer()] == [1, 0]


def test_all_workers_together_hold_no_more_calls_than_may_be() -> None:
    table = routing(2, most=3)
    assert [table.place(number) for number in (0, 1, 0, 1)] == [True, True, True, False]
    table.left(0)
    assert table.place(1)
    assert table.n_calls == 3


def test_a_worker_that_has_ended_holds_nothing_and_gets_nothing() -> None:
    table = routing(2, most=2)
    assert table.place(0)
    assert table.place(0)
    table.lost(0)
    assert (table.n_calls, table.place(1)) == (0, True)
    assert {table.newcomer() for _ in range(4)} == {1}
    assert table.home(name_of(0, 2)) == 1
    assert table.first() == 1


def test_a_name_leads_to_the_worker_that_made_it_whatever_the_others_hold() -> None:
    table = routing(3)
    for number in range(3):
        name = name_of(number, 3)
        assert table.place(number)
        assert [table.home(name) for _ in range(3)] == [number] * 3


def test_nobody_is_there_yet() -> None:
    table = Routing(2, 4, Clock())
    assert (table.newcomer(), table.anyone(), table.first(), table.home("a"), table.of_page("p")) == (None,) * 5
    table.up.add(1)
    assert (table.newcomer(), table.first(), table.home("a")) == (1, 1, 1)


def test_one_that_still_loads_gets_nothing_while_another_is_ready() -> None:
    table = Routing(2, 4, Clock())
    table.up, table.ready = {0, 1}, {1}
    assert {table.newcomer() for _ in range(4)} == {1}
    assert table.home(name_of(0, 2)) == 1


def test_a_pages_pictures_wait_where_it_has_talked_last() -> None:
    table = routing(3)
    table.note_page("mine", 2)
    assert table.of_page("mine") == 2
    assert table.of_page("unknown") == home_of("unknown", 3)
    for number in range(MAX_PAGES):
        table.note_page(f"other {number}", 0)
    assert table.of_page("mine") == home_of("mine", 3)


def test_a_call_that_joins_anothers_conversation_counts_there() -> None:
    table = routing(2)
    assert table.newcomer() == 0
    table.moved(0, 1)
    # One is on its way to 1, none to 0.
    assert table.newcomer() == 0
    assert {table.newcomer(), table.newcomer()} == {0, 1}


@pytest.mark.usefixtures("settled")
def test_every_name_that_a_worker_makes_is_its_own_and_as_long_as_ever() -> None:
    for number in range(5):
        own_names.settle(number, 5)
        names = [own_name(lambda: secrets.token_urlsafe(24)) for _ in range(50)]
        assert {home_of(name, 5) for name in names} == {number}
        assert {len(name) for name in names} == {32}
        assert len(set(names)) == 50


def test_a_process_that_serves_alone_takes_the_first_name_that_comes() -> None:
    made: list[str] = []

    def make() -> str:
        made.append(str(len(made)))
        return made[-1]

    assert own_name(make) == "0"
    assert made == ["0"]


def test_a_lone_half_of_a_character_is_a_name_as_any_other() -> None:
    assert home_of("\ud800", 4) in range(4)


def test_a_worker_is_started_at_once_and_one_that_does_not_last_later_and_later() -> None:
    restarts = Restarts()
    assert [restarts.delay_secs(1.0) for _ in range(5)] == [0.0, *(FIRST_DELAY_SECS * 2**n for n in range(4))]
    assert [restarts.delay_secs(1.0) for _ in range(20)][-1] == MOST_DELAY_SECS
    assert restarts.delay_secs(LASTING_SECS) == 0.0
    assert restarts.n == 26
