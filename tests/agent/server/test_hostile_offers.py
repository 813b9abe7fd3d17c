"""WebRTC offers and candidates, recorded ones mutated, at their routes: an answer or one line, and nothing left."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.attacked import Attacked, under_attack
from tests.support.hostile import JSON, TEXTS, Witness, at_length, trying
from tests.support.house import FIXTURES

OFFERS = {path.stem: path.read_text() for path in sorted((FIXTURES / "offers").glob("*.sdp"))}
CANDIDATES = [line[2:] for sdp in OFFERS.values() for line in sdp.splitlines() if line.startswith("a=candidate:")]
MDNS = "candidate:1996968015 1 udp 2113937151 8360402b-c5e1-44f9-b5a0-64fd5d8c1ed7.local 59351 typ host generation 0"


ODD_LINES = """a=setup:active
a=setup:passive
a=setup:holdconn
a=setup:x
a=mid:
a=mid:0
m=audio 0
m=audio 9 UDP/TLS/RTP/SAVPF
m=audio 9 RTP/AVP 0
m=audio x y z
m=application 9 UDP/DTLS/SCTP 5000
m=video 9 UDP/TLS/RTP/SAVPF 96
m=
a=rtpmap:111
a=rtpmap:x opus/48000
a=rtpmap:111 opus/0/0
a=rtpmap:111 opus/99999999999/2
a=rtpmap:111 x/48000
a=fmtp:111
a=fmtp:111 =;=;
a=fmtp:111 minptime=x
a=ssrc:
a=ssrc:x cname:y
a=ssrc:99999999999 a:b
a=ssrc-group:FID 1
a=extmap:
a=extmap:0 x
a=extmap:99999 y
a=extmap:1/x z
a=ice-ufrag:
a=ice-pwd:
a=group:BUNDLE 0 0 0 7
a=group:BUNDLE
a=group:
a=sctp-port:0
a=sctp-port:x
a=sctp-port:99999999
a=sctpmap:5000 x
a=max-message-size:-1
a=max-message-size:0
a=max-message-size:x
a=rtcp:
a=rtcp:x
a=rtcp-fb:111
a=rtcp-mux
a=fingerprint:sha-256 AB
a=fingerprint:
a=fingerprint:md5 00:00
c=
c=IN IP4
c=IN IP6 ::1
c=x y z
a=sendonly
a=recvonly
a=inactive
a=bundle-only
a=end-of-candidates
a=ice-lite
a=ice-options:
a=candidate:
a=candidate:1 1 udp 1 127.0.0.1 9 typ host
a=simulcast:x
a=rid:x
a=msid:
a=msid-semantic:
v=1
o=
s=
t=x
b=AS:x
=
é
"""
ODD = st.sampled_from([*ODD_LINES.splitlines(), "a=mid:" + "x" * 300, "a=ice-ufrag:" + "x" * 5000, f"a={MDNS}", "\0"])


@st.composite
def offers(draw: st.DrawFn) -> str:
    """A recorded offer with lines left out, doubled, swapped, cut, or odd ones in their place."""
    lines = OFFERS[draw(st.sampled_from(sorted(OFFERS)))].splitlines()
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["out", "twice", "odd", "before", "swap", "cut", "number"])):
            case "out" if len(lines) > 1:
                del lines[at]
            case "twice":
                lines.insert(at, lines[at])
            case "odd":
                lines[at] = draw(ODD)
            case "before":
                lines.insert(at, draw(ODD | TEXTS))
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
            case _:
                words = lines[at].split(" ")
                words[draw(st.integers(0, len(words) - 1))] = draw(st.integers(-(10**6), 10**12)).__str__()
                lines[at] = " ".join(words)
    return draw(st.sampled_from(["\r\n", "\r\n", "\n", "\r", "\u2028"])).join([*lines, ""])


CANDIDATE_LINES = st.sampled_from([*CANDIDATES, MDNS, "", "candidate:1 1 udp 1 127.0.0.1 9 typ host"]) | TEXTS
END = {"candidate": "", "sdp_mid": "0", "sdp_mline_index": 0}
GOOD_CANDIDATE = st.builds(
    lambda line, mid, index: {"candidate": line, "sdp_mid": mid, "sdp_mline_index": index},
    CANDIDATE_LINES,
    st.sampled_from(["0", "1", "2", "", None]),
    st.sampled_from([0, 1, 2, -1, 10**9]),
)
PATCHES = st.lists(GOOD_CANDIDATE | JSON, max_size=4) | JSON


async def offered(application: Attacked, body: Any, patches: list[Any]) -> int:
    """Send an offer and what follows it; the status of the answer to the offer."""
    answer = await application.tell("POST", "/api/offer", body)
    if answer.status_code == 200:
        joined = answer.json()
        assert set(joined) == {"sdp", "type", "pc_id", "conversation"}
        for patch in patches:
            await application.tell("PATCH", "/api/offer", {"pc_id": joined["pc_id"], "candidates": patch})
    await application.settle()
    return answer.status_code


def test_hostile_offers_begin_with_recorded_ones_that_are_answered(witness: Witness) -> None:
    with under_attack(witness) as (application, run):
        for sdp in OFFERS.values():
            patch = [{"candidate": line, "sdp_mid": "0", "sdp_mline_index": 0} for line in [*CANDIDATES, MDNS, ""]]
            assert run(offered(application, {"sdp": sdp.replace("\n", "\r\n"), "type": "offer"}, [patch])) == 200


@at_length(25, 400)
def test_hostile_offers_are_answered_or_refused_in_one_line(n_examples: int, witness: Witness) -> None:
    whole = OFFERS["chromium"].replace("\n", "\r\n")
    with under_attack(witness) as (application, run):

        @example(whole, [[{**END, "candidate": CANDIDATES[0]}, END, {**END, "candidate": CANDIDATES[0]}]])
        @given(offers(), st.lists(PATCHES, max_size=3))
        @trying(n_examples)
        def check(sdp: str, patches: list[Any]) -> None:
            run(offered(application, {"sdp": sdp, "type": "offer"}, patches))

        check()
        assert run(offered(application, {"sdp": whole, "type": "offer"}, [])) == 200


OPTIONS = st.dictionaries(st.sampled_from(["tts.speed", "stt.language", "x", "llm.engine"]), JSON, max_size=2)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "sdp": JSON | st.just(OFFERS["chromium"]),
        "type": JSON | st.just("offer"),
        "conversation": JSON,
        "options": JSON
        | st.dictionaries(st.sampled_from(["tts.speed", "stt.language", "x", "llm.engine"]), JSON, max_size=2),
        "record": JSON,
        "page": JSON,
        "candidates": PATCHES,
        "pc_id": JSON,
    },
)


@at_length(50, 700)
def test_hostile_bodies_of_offers_are_answered_or_refused_in_one_line(n_examples: int, witness: Witness) -> None:
    with under_attack(witness) as (application, run):

        async def sent(body: Any) -> None:
            await application.tell("PATCH", "/api/offer", body)
            await offered(application, body, [])

        @given(BODIES | JSON)
        @trying(n_examples)
        def check(body: Any) -> None:
            run(sent(body))

        check()
        assert run(offered(application, {"sdp": OFFERS["aiortc"], "type": "offer"}, [])) == 200


@pytest.mark.parametrize("depth", [40, 800, 900, 940, 100_000])
@pytest.mark.parametrize(
    "body",
    ['{"sdp": "x", "type": %s}', '{"pc_id": %s, "candidates": []}', '{"options": {"tts.speed": %s}}', "%s"],
)
def test_a_hostile_body_that_is_nested_deep_is_refused_as_such(body: str, depth: int, witness: Witness) -> None:
    nested = body % ("[" * depth + "]" * depth)
    with under_attack(witness) as (application, run):
        for method in ("POST", "PATCH"):
            answer = run(application.ask(method, "/api/offer", content=nested))
            assert answer.status_code == 400
            assert answer.json() == {"error": "the body is nested deeper than 32 levels"}


@pytest.mark.parametrize(
    ("line", "instead", "error"),
    [
        ("a=mid:0\r\n", "", "the offer bundles a section that it does not have"),
        ("a=group:BUNDLE 0 1\r\n", "a=group:BUNDLE 7 0\r\n", "the offer bundles a section that it does not have"),
        ("a=mid:1\r\n", "a=mid:0\r\n", "two sections of the offer have the same mid"),
    ],
)
def test_a_hostile_offer_that_bundles_what_it_does_not_have_is_refused(
    line: str, instead: str, error: str, witness: Witness
) -> None:
    whole = OFFERS["chromium"].replace("\n", "\r\n")
    with under_attack(witness) as (application, run):
        answer = run(application.tell("POST", "/api/offer", {"sdp": whole.replace(line, instead), "type": "offer"}))
        assert (answer.status_code, answer.json()) == (400, {"error": error})
