"""A caller by WebRTC, as the page calls, who decodes nothing: what is heard is known by the event log."""

import asyncio
import functools
import json
import time
from contextlib import suppress
from typing import Any

import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError
from av.packet import Packet

from agent.load.line import JOIN_SECS, PLACES, CallLine, RefusedError, Server
from agent.load.questions import Question
from agent.load.tape import PACKET_SAMPLES, SPEECH_RATE_HZ, TIME_BASE, Mouth, encoded

PING_SECS = 1.0


@functools.cache
def silence() -> bytes:
    """A packet of it, from where an encoder has settled."""
    return encoded(np.zeros(SPEECH_RATE_HZ // 5, np.int16))[-1]


class PacketTrack(AudioStreamTrack):
    """A microphone that sends packets as they are.

    Args:
        mouth: Gives them.
    """

    def __init__(self, mouth: Mouth) -> None:
        super().__init__()
        self._mouth = mouth
        self._n_sent = 0

    async def recv(self) -> Packet:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The next packet, when it is due."""
        packet = Packet(await self._mouth.next())
        packet.pts, packet.time_base = self._n_sent * PACKET_SAMPLES, TIME_BASE
        self._n_sent += 1
        return packet


class WebRtcCall(CallLine):
    """A call by WebRTC.

    Args:
        server: Whom it calls.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(Mouth(silence()))
        self._server = server
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._packets: dict[int, list[bytes]] = {}

    async def join(self) -> None:
        """See `CallLine`."""
        peer, connected = self._peer, asyncio.Event()
        peer.addTrack(PacketTrack(self.mouth))
        channel: Any = peer.createDataChannel("events")

        @channel.on("message")
        def on_message(message: str) -> None:
            content = json.loads(message)
            if content.get("type") == "event":
                self.note(content["event"])

        @channel.on("open")
        def on_open() -> None:
            self.begins(self._ping(channel))

        @peer.on("track")
        def on_track(track: Any) -> None:
            self.begins(_drain(track))

        @peer.on("connectionstatechange")
        def on_change() -> None:
            if peer.connectionState == "connected":
                connected.set()
            elif peer.connectionState in ("failed", "closed"):
                self.lose(f"the connection {peer.connectionState}")

        await peer.setLocalDescription(await peer.createOffer())
        answer = await self._offer(peer.localDescription.sdp)
        self.conversation = answer["conversation"]
        await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
        # Packets that nobody decodes; aiortc has no setting for it, and enables what an answer allows.
        for transceiver in peer.getTransceivers():
            transceiver.receiver._enabled = False
        try:
            await asyncio.wait_for(connected.wait(), JOIN_SECS)
        except TimeoutError:
            raise RefusedError(f"no connection by WebRTC came about within {JOIN_SECS:.0f} s") from None

    async def say(self, question: Question) -> float:
        """See `CallLine`."""
        key = id(question)
        if key not in self._packets:
            self._packets[key] = await asyncio.to_thread(encoded, question.audio_s16)
        return await self.mouth.say(self._packets[key])

    async def hang_up(self) -> None:
        """See `CallLine`."""
        await self._peer.close()

    async def _offer(self, sdp: str) -> dict[str, str]:
        try:
            async with self._server.client() as client:
                response = await client.post("/api/offer", json={"sdp": sdp, "type": "offer"})
        except httpx.HTTPError as error:
            raise RefusedError(f"{PLACES}, or the network: {error!r}") from error
        if response.is_error:
            raise RefusedError(response.text or f"HTTP status {response.status_code}")
        return response.json()

    async def _ping(self, channel: Any) -> None:
        while True:
            channel.send(f"ping: {time.time()}")
            await asyncio.sleep(PING_SECS)


async def _drain(track: Any) -> None:
    """Keep nothing of what comes."""
    with suppress(MediaStreamError):
        while True:
            await track.recv()
