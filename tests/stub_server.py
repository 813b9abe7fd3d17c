"""A fake at the edge: a server for the page whose answers, events and voice a test writes.

The HTTP, the WebRTC peer and the sound are real (uvicorn, aiortc); there is no pipeline behind them.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from playwright.async_api import Page, expect

WEB = Path(__file__).parent.parent / "web"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
SAMPLE_RATE_HZ = 48_000
FRAME_SAMPLES = SAMPLE_RATE_HZ // 50
TONE_HZ = 440

NOTE = "it answers more slowly than people speak"
HEALTH: dict[str, Any] = {
    "status": "ready",
    "version": "0.1.0",
    "engines": {
        "stt": {
            "engine": "pocketsphinx",
            "model": "en-us",
            "passed_over": [
                {
                    "engine": "nemotron",
                    "reason": "its model is not on disk",
                    "mend": "sotto models pull nemotron",
                },
                {
                    "engine": "whisper",
                    "reason": "its model is not on disk",
                    "mend": "sotto models pull whisper-base.en",
                },
            ],
        },
        "llm": {"engine": "embedded", "model": "SmolLM2-135M-Instruct", "passed_over": [], "note": NOTE},
        "tts": {
            "engine": "espeak",
            "model": "en-us",
            "passed_over": [
                {"engine": "kokoro", "reason": "its model is not on disk", "mend": "sotto models pull kokoro"}
            ],
        },
        "vad": {"engine": "silero", "model": "v6", "passed_over": []},
        "turn": {"engine": "smart-turn", "model": "v3.2", "passed_over": []},
    },
    "sessions": {"active": 0, "max": 4},
}


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

    def __init__(self, offer_sdp: str) -> None:
        self.offer_sdp = offer_sdp
        self.messages: list[str] = []
        self.candidates: list[dict[str, Any]] = []
        self.is_open = asyncio.Event()
        self.is_closed = asyncio.Event()
        self.microphone: MediaStreamTrack | None = None
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
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
        self._pc.getTransceivers()[0].sender.replaceTrack(ToneTrack())
        self._pc.getTransceivers()[0].direction = "sendrecv"
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        description = self._pc.localDescription
        return {"sdp": description.sdp, "type": description.type, "pc_id": f"stub-{id(self)}"}

    def send(self, event: str, **fields: Any) -> None:
        """Send one line of the event log."""
        self.send_text(json.dumps({"type": "event", "event": {"t": 0.0, "event": event, **fields}}))

    def send_text(self, text: str) -> None:
        assert self._channel is not None
        self._channel.send(text)

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


@dataclass
class StubServer:
    """Serves web/ at `url`; `health` and `refusal` may be changed at any time."""

    url: str = ""
    health: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(HEALTH)))
    refusal: tuple[int, str] | None = None
    peers: list[StubPeer] = field(default_factory=list)
    _calls: asyncio.Queue[StubPeer] = field(default_factory=asyncio.Queue)

    async def next_peer(self) -> StubPeer:
        """The call after the last one asked for, once its event channel is open."""
        async with asyncio.timeout(20):
            peer = await self._calls.get()
            await peer.is_open.wait()
        return peer

    def app(self) -> FastAPI:
        app = FastAPI()
        app.get("/health")(self._answer_health)
        app.post("/api/offer")(self._take_offer)
        app.patch("/api/offer")(self._take_candidates)
        app.get("/{name:path}")(serve_file)
        return app

    async def _answer_health(self) -> Response:
        return JSONResponse(self.health, 200 if self.health["status"] == "ready" else 503)

    async def _take_offer(self, request: Request) -> Response:
        if self.refusal:
            status, reason = self.refusal
            return JSONResponse({"error": reason}, status)
        peer = StubPeer((await request.json())["sdp"])
        self.peers.append(peer)
        answer = await peer.answer()
        self._calls.put_nowait(peer)
        return JSONResponse(answer)

    async def _take_candidates(self, request: Request) -> Response:
        body = await request.json()
        peer = next(p for p in self.peers if f"stub-{id(p)}" == body["pc_id"])
        peer.candidates.extend(body["candidates"])
        return JSONResponse({"status": "success"})


def serve_file(name: str) -> Response:
    """A file of web/, under the policy that the real server sends."""
    path = WEB / (name or "index.html")
    if path.parent != WEB or not path.is_file():
        return JSONResponse({"error": f"no such file: {name}"}, 404)
    return FileResponse(path, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})


@asynccontextmanager
async def serve_stub() -> AsyncIterator[StubServer]:
    """The stub on a free loopback port; leaving it ends every call."""
    stub = StubServer()
    listener = socket.create_server(("127.0.0.1", 0))
    stub.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(stub.app(), log_level="error", ws="none", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield stub
    finally:
        for peer in stub.peers:
            await peer.close()
        server.should_exit = True
        await serving


async def call(page: Page, stub: StubServer) -> StubPeer:
    """Press the button; the server's end of the call, once the page listens."""
    await page.get_by_role("button", name="Start talking").click()
    peer = await stub.next_peer()
    await expect(page.get_by_role("status")).to_have_text("Listening")
    return peer


async def items(page: Page) -> list[str]:
    """The conversation as it can be read, one line an item."""
    texts = await page.locator("#conversation > li").all_inner_texts()
    return [" ".join(text.split()) for text in texts]


def say_a_turn(peer: StubPeer, question: str, answer: str) -> None:
    """The events of one turn up to the agent's last word; the agent still speaks."""
    peer.send("user_started_speaking")
    peer.send("user_stopped_speaking")
    peer.send("transcript", text=question)
    peer.send("turn_ended", text=question)
    peer.send("bot_started_speaking")
    for word in answer.split():
        peer.send("bot_word", text=word)
