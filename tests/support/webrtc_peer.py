"""A peer for tests: joins a server as the page does, says a recording, and keeps what it hears and is told."""

import asyncio
import fractions
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError
from av import AudioFrame, AudioResampler

from transports.recording import Pcm16
from transports.room import Room

RATE_HZ = 16_000
FRAME_SAMPLES = 320


class Microphone(AudioStreamTrack):
    """Says what it is given, silence else, in 20 ms frames at the pace of real time."""

    def __init__(self) -> None:
        super().__init__()
        self._to_say = bytearray()
        self._started_secs: float | None = None
        self._n_samples = 0

    def say(self, audio_s16: Pcm16) -> None:
        self._to_say += audio_s16.astype("<i2").tobytes()

    async def recv(self) -> AudioFrame:
        if self._started_secs is None:
            self._started_secs = time.monotonic()
        due_secs = self._started_secs + self._n_samples / RATE_HZ
        await asyncio.sleep(max(0.0, due_secs - time.monotonic()))
        size = FRAME_SAMPLES * 2
        pcm16 = bytes(self._to_say[:size]).ljust(size, b"\0")
        del self._to_say[:size]
        pcm16 = self._hear(pcm16)
        frame = AudioFrame.from_ndarray(np.frombuffer(pcm16, "<i2")[None, :], layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self._n_samples
        frame.time_base = fractions.Fraction(1, RATE_HZ)
        self._n_samples += FRAME_SAMPLES
        return frame

    def play(self, frame: AudioFrame) -> None:
        """A headset: what is played is not heard."""

    def _hear(self, said: bytes) -> bytes:
        """What the microphone hears while that is said."""
        return said


class RoomMicrophone(Microphone):
    """Stands in a room with the loudspeaker, and there is no canceller."""

    def __init__(self, room: Room) -> None:
        super().__init__()
        self._around = room
        self._to_play = bytearray()
        self._resampler = AudioResampler("s16", "mono", RATE_HZ)

    def play(self, frame: AudioFrame) -> None:
        """Let the loudspeaker play what was received."""
        for resampled in self._resampler.resample(frame):
            self._to_play += resampled.to_ndarray().astype("<i2").tobytes()

    def _hear(self, said: bytes) -> bytes:
        played = bytes(self._to_play[: len(said)]).ljust(len(said), b"\0")
        del self._to_play[: len(said)]
        return self._around.hear_pcm16(said, played)


class Peer:
    """One caller of a server; use `join`, then `leave` or `vanish`.

    Args:
        url: The server's address.
        microphone: Another one than a headset's.
    """

    def __init__(self, url: str = "", microphone: Microphone | None = None) -> None:
        self.url = url
        self.microphone = microphone or Microphone()
        self.events: list[dict[str, Any]] = []
        self.on_event: Callable[[dict[str, Any]], None] = lambda event: None
        self.loud_samples = 0
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.answer: dict[str, Any] = {}
        self._channel: Any = None
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def offer(self) -> str:
        """The session description of an offer, as the page makes it: microphone first, then the data channel."""
        self.pc.addTrack(self.microphone)
        channel = self._channel = self.pc.createDataChannel("events")

        @channel.on("message")
        def on_message(message: str) -> None:
            content = json.loads(message)
            if content.get("type") == "event":
                self.events.append(content["event"])
                self.on_event(content["event"])
                self._changed.set()

        @channel.on("open")
        def on_open() -> None:
            self._tasks.append(asyncio.create_task(self._ping(channel)))

        @self.pc.on("track")
        def on_track(track: Any) -> None:
            self._tasks.append(asyncio.create_task(self._listen(track)))

        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def join(self, **wish: Any) -> None:
        """Join the server.

        Args:
            wish: Further fields of the offer: conversation, options, record.
        """
        sdp = await self.offer()
        async with httpx.AsyncClient() as client:
            response = await client.post(
                f"{self.url}/api/offer", json={"sdp": sdp, "type": "offer", **wish}, timeout=60
            )
        response.raise_for_status()
        await self.accept(response.json())

    async def accept(self, answer: Mapping[str, str]) -> None:
        """Take the answer to the offer."""
        self.answer = dict(answer)
        await self.pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))

    def send(self, message: dict[str, Any]) -> None:
        """Say something to the server beside the sound; the conversation must have begun."""
        self._channel.send(json.dumps(message))

    async def until(self, name: str, count: int = 1, timeout_secs: float = 30) -> dict[str, Any]:
        """Wait for an event of that name; the last one."""
        async with asyncio.timeout(timeout_secs):
            while len(found := [event for event in self.events if event["event"] == name]) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[-1]

    async def leave(self) -> None:
        """Close the connection as a page does that is left."""
        await self.vanish()
        await self.pc.close()

    async def vanish(self) -> None:
        """Say and hear nothing more, without a word to the server."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ping(self, channel: Any) -> None:
        while True:
            channel.send(f"ping: {time.time()}")
            await asyncio.sleep(1)

    async def _listen(self, track: Any) -> None:
        try:
            while True:
                frame = await track.recv()
                self.microphone.play(frame)
                self.loud_samples += int((np.abs(frame.to_ndarray().astype(int)) > 1000).sum())
        except MediaStreamError:
            return
