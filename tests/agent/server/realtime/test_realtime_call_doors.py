"""Who may begin a Realtime call by WebRTC, and what is refused: keys, other sites' pages, hostile offers and bodies."""

import asyncio
import json
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from hypothesis import given

from agent.server.wire.json_body import MAX_BODY_BYTES
from tests.agent.server.realtime.stage import staged
from tests.agent.server.realtime.test_realtime_access import SECRETS, TOKEN, asking, bearer
from tests.agent.server.realtime.test_realtime_hostile import NOT_EVENTS
from tests.agent.server.test_hostile_offers import OFFERS, offers
from tests.support.attacked import Attacked, under_attack
from tests.support.hostile import Witness, at_length, trying
from tests.support.realtime_peer import RealtimePeer, call_realtime, post_offer
from tests.support.virtual_time import in_virtual_time

CALLS = "/v1/realtime/calls"
OFFER = OFFERS["chromium"].replace("\n", "\r\n")
SDP = {"Content-Type": "application/sdp"}


@in_virtual_time
async def test_a_client_secret_opens_a_call_whose_session_it_was_made_for() -> None:
    async with staged(**{"server.token": TOKEN}) as stage, asking(stage) as client:
        made = await client.post(
            SECRETS, json={"session": {"type": "realtime", "instructions": "Be brief."}}, headers=bearer(TOKEN)
        )
        key, peer = made.json()["value"], RealtimePeer()
        answer = await post_offer(stage.url, await peer.offer(), key, model="gpt-realtime")
        try:
            assert answer.status_code == 201
            assert answer.headers["content-type"] == "application/sdp"
            location = answer.headers["location"]
            assert location.startswith(f"{CALLS}/rtc_")
            await peer.accept(answer.text)
            session = peer.events[0]["session"]
            assert (session["instructions"], session["model"]) == ("Be brief.", "gpt-realtime")
            hangup = f"{location}/hangup".removeprefix("/v1")
            assert (await client.post(hangup)).status_code == 401
            assert (await client.post(hangup, headers=bearer(key))).status_code == 200
            await peer.until_closed()
        finally:
            await peer.leave()


@in_virtual_time
async def test_a_call_wants_the_token_and_no_page_of_another_site_begins_one() -> None:
    async with staged(**{"server.token": TOKEN}) as stage, asking(stage) as client:
        statuses = [
            (await client.post("/realtime/calls", content=OFFER, headers={**SDP, **headers})).status_code
            for headers in (
                {},
                bearer("wrong"),
                bearer("ek_wrong"),
                {**bearer(TOKEN), "Origin": "https://elsewhere.example"},
            )
        ]
        assert statuses == [401, 401, 401, 403]
        assert stage.n_active() == 0
        async with call_realtime(stage.url, key=TOKEN) as peer:
            assert peer.types() == ["session.created"]


@in_virtual_time
async def test_a_call_takes_a_place_and_gives_it_back() -> None:
    limits: dict[str, Any] = {"server.max_sessions": 1}
    async with staged(**limits) as stage:
        async with call_realtime(stage.url):
            answer = await post_offer(stage.url, OFFER)
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        # One that never connects gives it back, too.
        async with asyncio.timeout(20):
            while stage.n_active():
                await asyncio.sleep(0.1)
        assert (await post_offer(stage.url, OFFER)).status_code == 201
        assert stage.n_active() == 1
        async with asyncio.timeout(20):
            while stage.n_active():
                await asyncio.sleep(0.1)


def form(**fields: str) -> dict[str, Any]:
    """A request's form, each field with a type of its own, as clients send it."""
    return {"files": {name: (None, text, "application/x") for name, text in fields.items()}}


def with_session(**session: Any) -> dict[str, Any]:
    return form(sdp=OFFER, session=json.dumps({"type": "realtime", **session}))


async def pcma_offer() -> str:
    """An offer of a peer that speaks nothing but PCMA."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTransceiver("audio")
    await pc.setLocalDescription(await pc.createOffer())
    lines = pc.localDescription.sdp.split("\r\n")
    await pc.close()
    kept = [line for line in lines if not line.startswith(("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:")) or ":8 " in line]
    return "\r\n".join("m=audio 9 UDP/TLS/RTP/SAVPF 8" if line.startswith("m=audio") else line for line in kept)


WRONG: list[tuple[dict[str, Any], int, str | None]] = [
    ({"content": OFFER}, 415, None),
    ({"json": {"sdp": OFFER, "type": "offer"}}, 415, None),
    ({"content": "", "headers": SDP}, 400, "sdp"),
    ({"content": b"\xff\xfe", "headers": SDP}, 400, "sdp"),
    ({"content": "v=0\r\n", "headers": SDP}, 400, "sdp"),
    ({"content": OFFER.replace("a=fingerprint", "a=x"), "headers": SDP}, 400, "sdp"),
    # One section has one, and its sound has none.
    ({"content": OFFER.replace("a=fingerprint", "a=x", 1), "headers": SDP}, 400, "sdp"),
    ({"content": OFFER.replace("a=mid:0\r\n", ""), "headers": SDP}, 400, "sdp"),
    ({"content": "x" * (MAX_BODY_BYTES + 1), "headers": SDP}, 413, None),
    ({"content": "x", "headers": {"Content-Type": "multipart/form-data"}}, 400, None),
    ({"content": "x", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400, None),
    (form(session="{}"), 400, "sdp"),
    (form(sdp=OFFER, session="{"), 400, "session"),
    (form(sdp=OFFER, session="[" * 5_000), 400, "session"),
    (form(sdp=OFFER, session="[]"), 400, "session"),
    (with_session(instructions=5), 400, "session.instructions"),
    (with_session(audio={"output": {"voice": "nobody's"}}), 400, "session.audio.output.voice"),
    (with_session(type="other"), 400, "session.type"),
    (form(sdp="x" * MAX_BODY_BYTES, session="{}"), 413, None),
]


@in_virtual_time
async def test_bodies_that_are_wrong_are_refused_by_the_name_of_their_field_and_cost_no_place() -> None:
    wrong = [*WRONG, ({"content": await pcma_offer(), "headers": SDP}, 400, "sdp")]
    async with staged() as stage, asking(stage) as client:
        for body, status, param in wrong:
            answer = await client.post("/realtime/calls", **body)
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (status, param), (str(body)[:200], error)
            assert error["message"].isprintable()
        assert (await client.post("/realtime/calls/rtc_nobody/hangup")).status_code == 404
        assert (await client.get("/realtime/calls")).status_code == 405
        assert stage.n_active() == 0
        async with call_realtime(stage.url) as peer:
            assert peer.types() == ["session.created"]


@in_virtual_time
async def test_what_is_no_event_on_the_channel_is_one_error_and_the_call_goes_on() -> None:
    async with staged(replies=("Hello.",)) as stage, call_realtime(stage.url) as peer:
        for n, text in enumerate(NOT_EVENTS):
            peer.tell_raw(text)
            await peer.until("error", n + 1)
        assert {error["error"]["type"] for error in peer.named("error")} == {"invalid_request_error"}
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
        peer.tell({"type": "conversation.item.create", "item": item})
        peer.tell({"type": "response.create"})
        await peer.until("output_audio_buffer.stopped")
        assert len(peer.named("error")) == len(NOT_EVENTS)
        # Text messages that have more in them than one packet.
        peer.tell({"type": "session.update", "session": {"type": "realtime", "instructions": "x" * 60_000}})
        assert len((await peer.until("session.updated"))["session"]["instructions"]) == 60_000


async def offered(application: Attacked, sdp: str) -> int:
    """Send an offer; the status of the answer. Nothing of a call is left."""
    answer = await application.ask("POST", CALLS, content=sdp.encode("utf-8", "replace"), headers=SDP)
    await application.state.calls.close()
    await application.settle()
    return answer.status_code


@at_length(20, 400)
def test_hostile_offers_of_calls_are_answered_or_refused_in_one_line(n_examples: int, witness: Witness) -> None:
    with under_attack(witness) as (application, run):

        @given(offers())
        @trying(n_examples)
        def check(sdp: str) -> None:
            assert run(offered(application, sdp)) in (201, 400)

        check()
        for sdp in OFFERS.values():
            assert run(offered(application, sdp.replace("\n", "\r\n"))) == 201


@pytest.mark.parametrize("path", [CALLS, "/v1/realtime/client_secrets"])
def test_a_hostile_hang_up_in_the_middle_of_a_body_leaves_nothing(path: str, witness: Witness) -> None:
    with under_attack(witness) as (application, run):
        headers = [(b"content-type", b"multipart/form-data; boundary=x")]
        # It is answered all the same, and nobody reads it.
        answer = run(application.call("POST", path, headers, b"--x\r\nContent-Disp", is_whole=False))
        assert answer.status_code == 400
        run(application.settle())
