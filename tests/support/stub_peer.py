"""A fake at the edge: the server's end of a call, whose events and voice a test writes.

The WebRTC peer and the sound are real (aiortc); there is no pipeline behind them.
"""

import asyncio
import json
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

SAMPLE_RATE_HZ = 48_000
FRAME_SAMPLES = SAMPLE_RATE_HZ // 50
TONE_HZ = 440


class ToneTrack(MediaStreamTrack):
    """A steady sine, 20 ms a frame, at the pace of real time."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._n_samples_sent = 0
        self._started_secs = 0.0

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        self._started_secs = self._started_secs or loop.time()
        due_secs = self._started_secs + self._n_samples_sent / SAMPLE_RATE_HZ
        await asyncio.sleep(max(0.0, due_secs - loop.time()))
        n = np.arange(self._n_samples_sent, self._n_samples_sent + FRAME_SAMPLES)
        wave_s16 = (8_000 * np.sin(2 * np.pi * TONE_HZ * n / SAMPLE_RATE_HZ)).astype(np.int16)
        frame = AudioFrame.from_ndarray(wave_s16.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, self._n_samples_sent
        frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
        self._n_samples_sent += FRAME_SAMPLES
        return frame


class StubPeer:
    """The server's end of one call."""

    def __init__(self, offer: dict[str, Any], conversation: str) -> None:
        self.offer = offer
        self.conversation = conversation
        self.offer_sdp: str = offer["sdp"]
        self.messages: list[str] = []
        self.candidates: list[dict[str, Any]] = []
        self.is_open = asyncio.Event()
        self.is_closed = asyncio.Event()
        self.microphone: MediaStreamTrack | None = None
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._voice = ToneTrack()
        self._channel: RTCDataChannel | None = None
        self._pc.on("datachannel", self._take_channel)
        self._pc.on("track", self._take_track)
        self._pc.on("connectionstatechange", self._watch)

    @property
    def channel_label(self) -> str:
        assert self._channel is not None
        return self._channel.label

    async def answer(self) -> dict[str, str]:
        await self._pc.setRemoteDescription(RTCSessionDescription(self.offer_sdp, "offer"))
        self._pc.getTransceivers()[0].sender.replaceTrack(self._voice)
        self._pc.getTransceivers()[0].direction = "sendrecv"
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        description = self._pc.localDescription
        answer = {"sdp": description.sdp, "type": description.type, "pc_id": f"stub-{id(self)}"}
        return {**answer, "conversation": self.conversation}

    def send(self, event: str, **fields: Any) -> None:
        """Send one line of the event log."""
        self.send_text(json.dumps({"type": "event", "event": {"t": 0.0, "event": event, **fields}}))

    def start(self, **fields: Any) -> None:
        """Send session_started; fields: push_to_talk, recording, history, engines."""
        started: dict[str, Any] = {"engines": {}, "conversation": self.conversation, "history": []}
        self.send("session_started", **{**started, **fields})

    async def commands(self, n: int) -> list[dict[str, Any]]:
        """What the page has sent, but for its keep-alive, once there are `n` of them."""
        async with asyncio.timeout(30):
            while len(commands := [json.loads(text) for text in self.messages if not text.startswith("ping")]) < n:
                await asyncio.sleep(0.02)
        return commands

    def send_text(self, text: str) -> None:
        assert self._channel is not None
        self._channel.send(text)

    def fall_silent(self) -> None:
        """No more sound, and no word about it; the connection stands."""
        self._voice.stop()

    async def close(self) -> None:
        await self._pc.close()

    def _take_channel(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.on("message", self.messages.append)
        channel.on("close", self.is_closed.set)
        self.is_open.set()

    def _take_track(self, track: MediaStreamTrack) -> None:
        self.microphone = track

    def _watch(self) -> None:
        if self._pc.connectionState in ("closed", "failed"):
            self.is_closed.set()
