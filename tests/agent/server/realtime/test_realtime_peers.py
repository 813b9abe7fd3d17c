"""Peers of a Realtime call whose media are more or less than a voice each way: pictures, nothing to be sent back."""

import asyncio
import time
from collections.abc import Callable

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import VideoStreamTrack
from av import VideoFrame
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection

from agent.server.realtime.peer_call import PeerCall
from tests.agent.server.realtime.stage import staged
from tests.agent.server.realtime.test_realtime_calls import played, until_ended
from tests.agent.server.realtime.test_realtime_conversations import LONG_REPLY, QUESTION
from tests.support.realtime_peer import RealtimePeer, post_offer
from tests.support.scripted_engines import WORD_SECS
from tests.support.virtual_time import in_virtual_time


class Pictures(VideoStreamTrack):
    """Small ones, 30 a second."""

    async def recv(self) -> VideoFrame:
        frame = VideoFrame(64, 64)
        frame.pts, frame.time_base = await self.next_timestamp()
        return frame


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[RTCPeerConnection]:
    """The server's connections of the calls that have begun."""
    connections: list[RTCPeerConnection] = []
    begin = PeerCall.begin

    def noted(call: PeerCall, peer: SmallWebRTCConnection) -> None:
        begin(call, peer)
        connections.append(peer.pc)

    monkeypatch.setattr(PeerCall, "begin", noted)
    return connections


def n_waiting(pc: RTCPeerConnection) -> dict[str, int]:
    """How many decoded frames wait to be taken, of each kind of media."""
    return {one.kind: one.receiver.track._queue.qsize() for one in pc.getTransceivers()}  # pyright: ignore


async def n_sent(pc: RTCPeerConnection) -> dict[str, int]:
    """How many packets a peer has sent, of each kind of media."""
    stats = (await pc.getStats()).values()
    return {one.kind: one.packetsSent for one in stats if one.type == "outbound-rtp"}


@in_virtual_time
async def test_the_pictures_of_a_peer_that_is_heard_are_not_kept(begun: list[RTCPeerConnection]) -> None:
    async with staged("what is the capital of germany", replies=("Berlin.",)) as stage:
        peer = RealtimePeer()
        peer.pc.addTrack(Pictures())
        try:
            await peer.accept((await post_offer(stage.url, await peer.offer())).text)
            peer.say(QUESTION)
            await peer.until("output_audio_buffer.stopped")
            [pc] = begun
            waiting, sent = n_waiting(pc), await n_sent(peer.pc)
            history = [message["content"] for message in stage.history()]
        finally:
            await peer.leave()
    assert sent["video"] > 60
    assert waiting["video"] == 0
    assert history == ["what is the capital of germany", "Berlin."]


@in_virtual_time
async def test_nothing_is_kept_of_a_peer_that_has_not_opened_its_channel(begun: list[RTCPeerConnection]) -> None:
    async def never(*_: object) -> None:
        """A channel that is offered, and never there."""

    async with staged() as stage:
        peer = RealtimePeer()
        peer.pc.addTrack(Pictures())
        try:
            answer = await post_offer(stage.url, await peer.offer())
            peer.pc.sctp.start = never  # pyright: ignore
            await peer.pc.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
            await asyncio.sleep(5.0)
            [pc] = begun
            waiting, sent = n_waiting(pc), await n_sent(peer.pc)
            await until_ended(stage)
        finally:
            await peer.leave()
    assert min(sent["audio"], sent["video"]) > 60
    assert waiting == {"audio": 0, "video": 0}


def only_sends(_: RealtimePeer) -> Callable[[str], str]:
    """Takes no sound."""
    return lambda sdp: sdp.replace("a=sendrecv", "a=sendonly")


def sound_comes_third(peer: RealtimePeer) -> Callable[[str], str]:
    """Has its sound where nothing is sent back."""
    for _ in range(2):
        peer.pc.addTransceiver("video")
    return lambda sdp: sdp


@pytest.mark.parametrize("form", [only_sends, sound_comes_third])
@in_virtual_time
async def test_a_peer_that_nothing_can_be_sent_to_is_answered_in_words_at_the_pace_of_a_voice(
    form: Callable[[RealtimePeer], Callable[[str], str]],
) -> None:
    async with staged("count please", "thank you", replies=(LONG_REPLY, "You are welcome.")) as stage:
        peer = RealtimePeer()
        written = form(peer)
        try:
            await peer.accept((await post_offer(stage.url, written(await peer.offer()))).text)
            peer.say(QUESTION)
            await peer.until("response.output_audio_transcript.delta")
            begun_secs = time.monotonic()
            await peer.until("response.done")
            took_secs = time.monotonic() - begun_secs
            peer.say(QUESTION)
            await peer.until("response.done", 2)
        finally:
            await peer.leave()
    assert peer.named("error") == []
    answers = [done["response"]["output"][0]["content"][0]["transcript"] for done in peer.named("response.done")]
    assert answers == [LONG_REPLY, "You are welcome."]
    # The time is the test's own.
    assert took_secs == pytest.approx(len(LONG_REPLY.split()) * WORD_SECS, abs=2 * WORD_SECS)
    # Nothing sounds.
    assert played(peer) == []
    assert peer.loud_samples == 0
