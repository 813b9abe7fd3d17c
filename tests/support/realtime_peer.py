"""A Realtime client by WebRTC for tests: aiortc's peer, openai-python's request and types; no part of the server."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from openai import AsyncOpenAI

from tests.support.realtime_caller import Told
from tests.support.webrtc_peer import Microphone
from transports.recording import Pcm16
from transports.webrtc_microphone import decode_at_once

LOUD = 1000


class RealtimePeer(Told):
    """One client: `offer`, then `accept` what the server answers; `call_realtime` does both.

    Attributes:
        microphone: Says what it is given, silence else.
        loud_samples: How many were heard that are loud, at 48 kHz.
        location: Of the call, as the server told it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.microphone = Microphone()
        self.loud_samples = 0
        self.location = ""
        self._channel: Any = None
        self._listening: list[asyncio.Task[None]] = []

    async def offer(self) -> str:
        """The session description of an offer, as OpenAI's clients make it."""
        channel = self._channel = self.pc.createDataChannel("oai-events")
        self.pc.addTrack(self.microphone)
        channel.on("message", self.take)
        channel.on("close", self.close)

        @self.pc.on("track")
        def on_track(track: Any) -> None:
            _decode_on_the_loop(next(one for one in self.pc.getReceivers() if one.track is track))
            self._listening.append(asyncio.create_task(self._listen(track)))

        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def accept(self, sdp: str) -> None:
        """Take the answer to the offer, and wait for the session."""
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        await self.until("session.created")

    def tell(self, event: Mapping[str, Any]) -> None:
        """Send an event."""
        self._channel.send(json.dumps(event))

    def tell_raw(self, text: str | bytes) -> None:
        """Send what is no event."""
        self._channel.send(text)

    async def update(self, **session: Any) -> dict[str, Any]:
        """Change the session; what the server says it is then."""
        before = len(self.named("session.updated"))
        self.tell({"type": "session.update", "session": {"type": "realtime", **session}})
        return (await self.until("session.updated", before + 1))["session"]

    def say(self, audio_s16: Pcm16) -> None:
        """Say a recording of 16 kHz, at the pace of real time."""
        self.microphone.say(audio_s16)

    async def until_closed(self) -> None:
        """Wait until the server has closed the channel."""
        async with asyncio.timeout(120):
            while not self._is_closed:
                self._changed.clear()
                await self._changed.wait()

    def close_channel(self) -> None:
        """Close the data channel, and nothing else."""
        self._channel.close()

    def vanish(self) -> None:
        """The network is gone, without a word to the server."""
        for transport in {receiver.transport for receiver in self.pc.getReceivers()}:
            for protocol in transport.transport._connection._protocols:
                protocol.transport.abort()

    async def leave(self) -> None:
        """Close the connection."""
        await self.pc.close()
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)

    async def _listen(self, track: Any) -> None:
        try:
            while True:
                frame = await track.recv()
                self.loud_samples += int((np.abs(frame.to_ndarray().astype(int)) > LOUD).sum())
        except MediaStreamError:
            return


def _decode_on_the_loop(receiver: Any) -> None:
    """Virtual time stands still for what the event loop does, and not for aiortc's decoder thread."""
    receive = receiver.receive

    async def begin(parameters: Any) -> None:
        # Its thread begins here, and holds on to the queue that it finds.
        await receive(parameters)
        decode_at_once(receiver)

    receiver.receive = begin


@asynccontextmanager
async def call_realtime(url: str, *, key: str = "none", **session: Any) -> AsyncIterator[RealtimePeer]:
    """A client that has its session, by openai-python's form of the request."""
    peer = RealtimePeer()
    async with AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as client:
        try:
            answer = await client.realtime.calls.create(
                sdp=await peer.offer(),
                session={"type": "realtime", **session},  # pyright: ignore[reportArgumentType]
            )
            peer.location = answer.response.headers["location"]
            await peer.accept(answer.text)
            yield peer
        finally:
            await peer.leave()


async def post_offer(url: str, sdp: str, key: str | None = None, **query: str) -> httpx.Response:
    """Offer as the browsers' clients do: the bare session description."""
    headers = {"Content-Type": "application/sdp", **({"Authorization": f"Bearer {key}"} if key else {})}
    async with httpx.AsyncClient() as client:
        return await client.post(f"{url}/realtime/calls", content=sdp, headers=headers, params=query, timeout=60)
