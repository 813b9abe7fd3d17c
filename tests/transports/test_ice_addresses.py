"""Where a call's packets may go: one machine's address, a real port, within reach of what the server listens on."""

import ipaddress
from contextlib import suppress

import aioice.ice
import pytest
from aioice.candidate import Candidate
from hypothesis import example, given
from hypothesis import strategies as st

from transports.errors import OfferError
from transports.ice_addresses import MAX_CANDIDATES, Reach, open_only, reach_of, read_candidate, resolved
from transports.webrtc import parse_candidates, split_candidates

OWN, NEIGHBOUR = "192.0.2.2", "192.0.2.7"
BROADCAST = frozenset([ipaddress.IPv4Address("192.0.2.255"), ipaddress.IPv4Address("192.0.2.0")])
HERE = frozenset([ipaddress.IPv4Address(OWN), ipaddress.IPv4Address("127.0.0.1")])
ALONE = Reach(("127.0.0.1",), True, BROADCAST, HERE)
OPEN = Reach((OWN,), False, BROADCAST, HERE)


def line(host: str, port: int | str = 50_000, transport: str = "udp", kind: str = "host") -> str:
    return f"candidate:1 1 {transport} 2122260223 {host} {port} typ {kind}"


@pytest.mark.parametrize("reach", [ALONE, OPEN])
@pytest.mark.parametrize(
    "host",
    [
        *("255.255.255.255", "192.0.2.255", "192.0.2.0", "224.0.0.251", "239.1.2.3", "0.0.0.0", "250.1.1.1"),
        *("::", "ff02::1", "ff05::fb", "::ffff:224.0.0.1"),
        *("example.com", "localhost", "box", "a.b.local", "192.0.2", "0x7f.1", "1.2.3.4.5", ".local", "x" * 200),
    ],
)
def test_what_is_no_single_machines_address_is_refused(host: str, reach: Reach) -> None:
    with pytest.raises(
        OfferError, match=r"^ICE candidate .*: (not the address of one machine|only addresses and names)"
    ):
        read_candidate(line(host), reach)


@pytest.mark.parametrize("port", [0, -1, 65_536, 10**30])
def test_a_port_that_there_is_not_is_refused(port: int) -> None:
    with pytest.raises(OfferError, match="there is no port"):
        read_candidate(line(OWN, port), OPEN)


@pytest.mark.parametrize(
    ("host", "alone", "open_"),
    [
        (OWN, True, True),
        ("127.0.0.1", True, False),
        ("::1", True, False),
        (NEIGHBOUR, False, True),
        ("203.0.113.9", False, True),
        ("2001:db8::9", False, True),
        ("::ffff:192.0.2.7", False, True),
    ],
)
def test_a_server_on_the_loopback_reaches_this_machine_alone_and_others_never_its_loopback(
    host: str, alone: bool, open_: bool
) -> None:
    assert (read_candidate(line(host), ALONE) is not None) == alone
    assert (read_candidate(line(host), OPEN) is not None) == open_


def test_what_is_of_no_use_is_left_out_without_an_error() -> None:
    for unused in (line(NEIGHBOUR, 9, "tcp"), line(NEIGHBOUR, kind="prflx"), line(NEIGHBOUR, kind="x")):
        assert read_candidate(unused, OPEN) is None
    assert read_candidate(line(NEIGHBOUR).replace(" 1 udp", " 2 udp"), OPEN) is None


async def test_a_name_is_resolved_and_then_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Answers:
        found: str | None = NEIGHBOUR

        async def resolve(self, _: str) -> str | None:
            return self.found

    answers = Answers()

    async def protocol(_: object) -> Answers:
        return answers

    monkeypatch.setattr(aioice.ice, "get_or_create_mdns_protocol", protocol)

    async def resolve(reach: Reach) -> str | None:
        candidate = read_candidate(line("0b1c.local"), reach)
        assert candidate is not None
        found = await resolved(candidate, reach, self_)
        return found.host if found else None

    self_ = object()
    assert await resolve(OPEN) == NEIGHBOUR
    assert await resolve(ALONE) is None, "nothing is asked of the network for a peer on this machine"
    for wrong in ("224.0.0.1", "255.255.255.255", "127.0.0.1", "192.0.2.255", None):
        answers.found = wrong
        assert await resolve(OPEN) is None


def test_sockets_are_opened_where_the_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", aioice.ice.get_host_addresses)
    for host, own in (("127.0.0.1", ["127.0.0.1"]), ("::1", ["::1"]), ("::ffff:127.0.0.1", ["127.0.0.1"])):
        reach = reach_of(host)
        assert reach.is_local
        open_only(reach)
        assert aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True) == own
    everywhere = reach_of("0.0.0.0")
    assert all(ipaddress.ip_address(one).version == 4 for one in everywhere.own)


def test_an_offer_keeps_the_candidates_that_can_be_used() -> None:
    head = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
    offered = [line(NEIGHBOUR), line("127.0.0.1"), line("0b1c.local"), line(NEIGHBOUR, 9, "tcp")]
    sdp, named = split_candidates(head + "".join(f"a={one}\r\n" for one in offered) + "a=end-of-candidates\r\n", OPEN)
    assert sdp == f"{head}a={line(NEIGHBOUR)}\r\n"
    assert [(one.on_the_wire().candidate, one.mid, one.index) for one in named] == [(line("0b1c.local"), "0", 0)]
    with pytest.raises(OfferError, match="more than 64 ICE candidates"):
        split_candidates(head + f"a={line(NEIGHBOUR)}\r\n" * (MAX_CANDIDATES + 1), OPEN)


WORDS = st.one_of(
    st.sampled_from(["1", "udp", "tcp", OWN, "255.255.255.255", "x.local", "typ", "host", "raddr", "rport", "0", "::"]),
    st.integers(-(10**6), 10**20).map(str),
    st.ip_addresses().map(str),
    st.text(max_size=12),
)


@given(st.lists(WORDS, max_size=14), st.sampled_from([ALONE, OPEN]))
@example(["1", "1", "udp", "1", "fe80::1%eth0", "9", "typ", "host"], OPEN)
@example(["1", "1", "udp", "1", OWN, "9", "typ", "host", "rport", "x"], OPEN)
def test_whatever_stands_in_a_candidate_packets_go_to_one_machine_or_it_is_refused(
    words: list[str], reach: Reach
) -> None:
    text = "candidate:" + " ".join(words)
    try:
        found = parse_candidates([{"candidate": text, "sdp_mid": "0", "sdp_mline_index": 0}], reach)
    except OfferError:
        return
    for one in found:
        if one.candidate and not one.is_named:
            address = ipaddress.ip_address(one.candidate.host)
            assert reach.allows(address)
            assert not address.is_multicast
            assert 0 < one.candidate.port < 65_536
            assert Candidate.from_sdp(one.candidate.to_sdp()).host == one.candidate.host


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.sampled_from(["candidate", "sdp_mid", "sdp_mline_index"]), JSON), max_size=4))
@example([{"candidate": "", "sdp_mid": None, "sdp_mline_index": float("inf")}])
def test_whatever_json_candidates_are_they_are_read_or_refused(candidates: list[dict[str, object]]) -> None:
    with suppress(OfferError):
        assert len(parse_candidates(candidates, OPEN)) <= len(candidates)
