"""Which of several addresses is asked, which are left alone, and for how long."""

import pytest

from processors.address import Address, Change, Group, addresses_in, shown_addresses
from processors.addresses import BUSIER_BY, AddressGroup
from processors.first_chunk import MAX_BYTES, FirstChunk
from processors.retries import RETRY_SECS
from tests.support.virtual_time import in_virtual_time

THREE = ("http://a/v1", "http://b/v1", "http://c/v1")


class Conversation:
    """Stands for a history."""


def group_of(*urls: str, **told: object) -> AddressGroup:
    return AddressGroup(Group("llm", urls or THREE, **told))  # pyright: ignore[reportArgumentType]


def numbers(group: AddressGroup) -> list[int]:
    return [one.n_in_flight for one in group.addresses]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http://a/v1", ["http://a/v1"]),
        ("http://a/v1,x=1", ["http://a/v1,x=1"]),
        ("http://u:p,w@a/v1", ["http://u:p,w@a/v1"]),
        ("http://a/v1,https://b/v1 , http://c", ["http://a/v1", "https://b/v1", "http://c"]),
        (" http://a/v1 ", [" http://a/v1 "]),
    ],
)
def test_a_comma_parts_addresses_only_where_another_one_follows(text: str, found: list[str]) -> None:
    assert addresses_in(text) == found


def test_no_login_is_shown_and_each_address_has_its_own() -> None:
    group = group_of("http://u:p%40ss@a/v1/", "http://b/v1")
    assert shown_addresses("http://u:secret@a/v1, http://v:other@b/v1") == "http://a/v1, http://b/v1"
    assert group.shown == "http://a/v1, http://b/v1"
    assert [one.login for one in group.addresses] == [("u", "p@ss"), None]
    assert "p@ss" not in repr(group.addresses)
    assert group.addresses[0].whole == "http://u:p%40ss@a/v1"


def test_requests_under_way_spread_evenly() -> None:
    group = group_of()
    taken = [group.take() for _ in range(9)]
    assert numbers(group) == [3, 3, 3]
    group.give_back(taken[1])
    assert group.take() is taken[1]


def test_of_two_that_are_idle_the_quicker_is_asked() -> None:
    group = group_of("http://a/v1", "http://b/v1")
    slow, quick = group.addresses
    group.gave(slow, 0.5)
    group.gave(quick, 0.1)
    taken = group.take()
    assert taken is quick
    assert group.take() is slow


@in_virtual_time
async def test_what_was_seen_long_ago_tells_nothing_of_an_address() -> None:
    import asyncio

    group = group_of("http://a/v1", "http://b/v1")
    slow, quick = group.addresses
    group.gave(slow, 0.5)
    await asyncio.sleep(301)
    group.gave(quick, 0.1)
    assert group.take() is slow


def test_eight_conversations_that_ask_one_after_the_other_are_spread_all_the_same() -> None:
    group = group_of("http://a/v1", "http://b/v1")
    conversations = [Conversation() for _ in range(8)]
    homes: list[Address] = []
    for conversation in conversations:
        address = group.take(conversation=conversation)
        group.gave(address, 0.1 * address.number)
        group.give_back(address)
        homes.append(address)
    assert sorted(one.number for one in homes) == [1, 1, 1, 1, 2, 2, 2, 2]
    again = [group.take(conversation=one) for one in conversations]
    assert again == homes


def test_a_conversation_stays_at_home_unless_that_is_clearly_busier_or_gone() -> None:
    group = group_of("http://a/v1", "http://b/v1")
    conversation = Conversation()
    home = group.take(conversation=conversation)
    group.give_back(home)
    home.n_in_flight = BUSIER_BY
    assert group.take(conversation=conversation) is home  # as busy as it may be
    other = group.take(conversation=conversation)  # BUSIER_BY + 1 more than the other
    assert other is not home
    group.failed(other, "HTTP 503")
    assert group.take(conversation=conversation) is home


def test_a_conversation_that_is_over_holds_no_place() -> None:
    group = group_of("http://a/v1", "http://b/v1")
    first, second = Conversation(), Conversation()
    for one in (first, second):
        group.give_back(group.take(conversation=one))
    assert {address.number for address, _ in group._homes.values()} == {1, 2}
    del first, one
    assert [address.number for address, _ in group._homes.values()] == [2]
    assert group.take(conversation=Conversation()).number == 1


def test_what_is_gone_is_told_once_and_asked_only_where_nothing_else_is_left() -> None:
    group, told = group_of("http://a/v1", "http://b/v1"), list[Change]()
    group.listeners.append(told.append)
    first, second = group.addresses
    group.failed(first, "nothing listens there")
    group.failed(first, "HTTP 503")
    assert told == [Change("llm", 1, 2, "gone", "nothing listens there", 1)]
    assert [group.take() for _ in range(3)] == [second] * 3
    group.failed(second, "HTTP 503")
    assert group.take() in (first, second)
    with pytest.raises(LookupError):
        group.take(gone=False)
    group.is_back(first)
    assert told[1:] == [Change("llm", 2, 2, "gone", "HTTP 503", 0), Change("llm", 1, 2, "back", "", 1)]


@in_virtual_time
async def test_what_is_gone_is_looked_at_less_and_less_often_until_it_has_given_something() -> None:
    group = group_of()
    address = group.addresses[0]
    group.failed(address, "HTTP 503")
    waits = [group.look_in_secs(address)]
    for _ in RETRY_SECS:
        group.still_gone(address, "HTTP 503")
        waits.append(group.look_in_secs(address))
    assert waits == [*RETRY_SECS, RETRY_SECS[-1]]
    group.is_back(address)  # It answers a look, and fails again:
    group.failed(address, "HTTP 500")
    assert group.look_in_secs(address) == RETRY_SECS[-1]
    group.gave(address, 0.1)
    assert group.look_in_secs(address) is None
    group.failed(address, "HTTP 500")
    assert group.look_in_secs(address) == RETRY_SECS[0]


def test_a_late_first_chunk_is_known_only_after_some_and_no_more_than_the_share_is_asked_twice() -> None:
    group = group_of("http://a/v1", "http://b/v1", hedge_share=0.1)
    assert group.hedge_after_secs() is None
    for n in range(100):
        group.began()
        group.gave(group.addresses[n % 2], 0.01 * (n + 1))
    assert group.hedge_after_secs() == pytest.approx(0.96)  # of 0.01 to 1.00, 95 of 100 are shorter
    for _ in range(10):
        assert group.hedge_after_secs() is not None
        group.went_on(is_hedge=True)
    assert group.hedge_after_secs() is None
    assert (group.n_asked, group.n_hedged) == (100, 10)


def test_an_engine_that_is_slow_by_nature_is_not_taken_for_hung() -> None:
    group = group_of(silent_secs=1.0)
    assert group.silent_secs() == 1.0
    for _ in range(8):
        group.gave(group.addresses[0], 3.0)
    assert group.silent_secs() == 6.0


def test_there_is_time_for_another_one_before_the_engines_own_limit() -> None:
    group = group_of(silent_secs=5.0, limit_secs=5.0)
    assert group.silent_secs() == 2.5
    for _ in range(8):
        group.gave(group.addresses[0], 3.0)
    assert group.silent_secs() == 4.0


def test_without_a_share_nothing_is_asked_twice() -> None:
    group = group_of()
    for _ in range(100):
        group.began()
        group.gave(group.addresses[0], 0.1)
    assert group.hedge_after_secs() is None


EMPTY = b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]}\n\n'


@pytest.mark.parametrize(
    ("stream", "state"),
    [
        (EMPTY * 3, "nothing"),
        (b": keep-alive\n\nevent: x\n", "nothing"),
        (b'data: {"choices": []}\n\n', "nothing"),
        (EMPTY + b'data: {"choices": [{"delta": {"content": "H"}}]}\n', "something"),
        (b'data: {"choices": [{"delta": {"reasoning_content": "hm"}}]}\n', "something"),
        (b'data: {"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}\n', "something"),
        (b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n', "something"),
        (b'data: {"choices": [], "usage": {"total_tokens": 1}}\n', "something"),
        (b"data: [DONE]\n", "something"),
        (b"data: no JSON\n", "error"),
        (b"data: [1]\n", "error"),
        (b"data: " + b"[" * 20_000 + b"\n", "error"),
        (b'data: {"choices": ["x"]}\n', "something"),
        (b'data: {"error": {"message": "out of memory"}}\n', "error"),
        (b'data: {"choices": [{"delta": {"content": "H', "nothing"),
        (b": " + b"x" * MAX_BYTES, "something"),
    ],
)
@pytest.mark.parametrize("n_bytes", [1, 7, 1 << 20])
def test_a_stream_has_begun_with_the_first_thing_that_it_says(stream: bytes, state: str, n_bytes: int) -> None:
    chunks, found = FirstChunk(), "nothing"
    for start in range(0, len(stream), n_bytes):
        found = chunks.feed(stream[start : start + n_bytes])
        if found != "nothing":
            break
    assert found == state
