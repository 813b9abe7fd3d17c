"""Who gets a place, and who gives it up: counted, on a clock that the test turns."""

import logging

from hypothesis import given
from hypothesis import strategies as st

from agent.server.guard import descriptors
from agent.server.guard.places import CLOSE_SECS, REQUEST_SECS, STALL_SECS, Place, Places
from agent.server.http_server import OncePerMinute
from agent.server.wire.networks import LOOPBACK, network_of


class Connections:
    """Connections that note when they are closed."""

    def __init__(self, most: int, most_of_network: int) -> None:
        self.places = Places(most, most_of_network)
        self.closed: list[str] = []

    def enter(self, name: str, network: str = LOOPBACK, now_secs: float = 0.0) -> Place | None:
        return self.places.enter(network, now_secs, lambda: self.closed.append(name))


def entered(place: Place | None) -> Place:
    assert place is not None
    return place


def test_the_one_that_has_waited_longest_gives_way_and_one_that_works_never_does() -> None:
    all_ = Connections(3, 3)
    call = entered(all_.enter("call"))
    all_.places.work(call)
    all_.enter("first")
    second = entered(all_.enter("second"))
    all_.enter("third")
    assert all_.closed == ["first"]
    # Who has had an answer waits anew, behind the others.
    all_.places.work(second)
    all_.places.wait(second, 20.0)
    all_.enter("fourth")
    assert all_.closed == ["first", "third"]
    assert len(all_.places) == 3


def test_where_all_work_the_new_one_is_turned_away() -> None:
    all_ = Connections(2, 2)
    for name in ("a", "b"):
        all_.places.work(entered(all_.enter(name)))
    assert all_.enter("c") is None
    assert all_.closed == []
    assert all_.places.turned_away == {LOOPBACK: 1}


def test_one_network_takes_only_its_share_and_gives_way_before_others() -> None:
    all_ = Connections(6, 4)
    for n in range(100):
        all_.enter(f"flood {n}", "192.0.2.9")
    assert len(all_.places) == 4
    for n in range(4):
        all_.enter(f"guest {n}", f"192.0.2.{n}")
    assert len(all_.places) == 6
    assert not [name for name in all_.closed if name.startswith("guest")]


def test_time_is_over_for_those_that_send_no_request_take_nothing_in_or_do_not_end() -> None:
    all_ = Connections(9, 9)
    entered(all_.enter("silent"))
    stalled, ending, upload = (entered(all_.enter(name)) for name in ("stalled", "ending", "upload"))
    for place in (stalled, ending):
        all_.places.work(place)
    all_.places.wait(upload, None)
    stalled.stalled_secs = 0.0
    ending.is_closing = lambda: True
    all_.places.close_overdue(0.0)
    all_.places.close_overdue(min(REQUEST_SECS, CLOSE_SECS))
    assert all_.closed == []
    all_.places.close_overdue(max(REQUEST_SECS, CLOSE_SECS) + 0.1)
    assert all_.closed == ["silent", "ending"]
    all_.places.close_overdue(STALL_SECS + 0.1)
    assert all_.closed == ["silent", "ending", "stalled"]
    assert list(all_.places) == [upload]


@given(
    st.lists(st.tuples(st.sampled_from(["enter", "work", "wait", "leave", "sweep"]), st.integers(0, 9)), max_size=60)
)
def test_whatever_comes_and_goes_no_bound_is_passed_and_no_working_one_closed(steps: list[tuple[str, int]]) -> None:
    all_ = Connections(5, 3)
    known: list[tuple[str, Place]] = []
    working: set[str] = set()
    for now_secs, (step, n) in enumerate(steps):
        if step == "enter":
            name = f"{now_secs}"
            place = all_.enter(name, f"192.0.2.{n % 3}", float(now_secs))
            known += [(name, place)] if place else []
        elif step == "sweep":
            all_.places.close_overdue(float(now_secs))
        elif known:
            name, place = known[n % len(known)]
            if name in all_.closed:
                continue
            if step == "leave":
                all_.places.leave(place)
                working.discard(name)
            elif step == "work":
                all_.places.work(place)
                working.add(name)
            elif place in all_.places:
                all_.places.wait(place, float(now_secs) + REQUEST_SECS)
                working.discard(name)
        networks = [place.network for place in all_.places]
        assert len(networks) <= 5
        assert max(map(networks.count, networks), default=0) <= 3
        assert not working & set(all_.closed)


def test_networks_are_addresses_subscribers_and_this_machine() -> None:
    assert {network_of(one) for one in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")} == {LOOPBACK}
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2%eth0") == "2001:db8::/64"
    assert network_of("2001:db8:0:1::1") != network_of("2001:db8::1")
    assert network_of("::ffff:192.0.2.7") == network_of("192.0.2.7") == "192.0.2.7"


def test_places_leave_descriptors_for_calls_and_models() -> None:
    open_now = descriptors.n_open()
    kept = open_now + descriptors.RESERVED + 4 * descriptors.RESERVED_A_CALL
    assert descriptors.places_within(kept + 100, 4) in range(90, 111)
    assert descriptors.places_within(64, 4) == descriptors.FEWEST_PLACES
    assert descriptors.places_within(None, 4) == descriptors.places_within(10**6, 4) == descriptors.MOST_PLACES


def test_the_log_says_a_thing_once_a_minute_however_often_it_is_provoked() -> None:
    now_secs = [0.0]
    once = OncePerMinute(lambda: now_secs[0])

    def is_told(message: str, error: Exception | None = None) -> bool:
        info = (type(error), error, None) if error else None
        return once.filter(logging.LogRecord("uvicorn.error", logging.WARNING, "x.py", 1, message, (), info))

    assert [is_told("Invalid HTTP request received.") for _ in range(3)] == [True, False, False]
    assert [is_told("Exception in ASGI application\n", error) for error in (KeyError(), ValueError(), KeyError())] == [
        True,
        True,
        False,
    ]
    assert not is_told("ASGI callable returned without completing handshake.")
    now_secs[0] = 60.0
    assert is_told("Invalid HTTP request received.")
