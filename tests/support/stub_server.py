"""A fake at the edge: a server for the page whose answers, events and voice a test writes.

The HTTP is real (uvicorn), and so is each call (see stub_peer.py); there is no pipeline behind them.
"""

import asyncio
import copy
import io
import json
import mimetypes
import socket
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, UploadFile
from fastapi.responses import JSONResponse, Response, StreamingResponse
from playwright.async_api import Page, expect
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.server.page_files import VERSION_HEADER
from tests.conftest import REPOSITORY
from tests.support.stub_catalogue import HEALTH, OPTIONS
from tests.support.stub_peer import StubPeer
from transports.sound_encoder import SoundEncoder

WEB = REPOSITORY / "web"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:; manifest-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)


class _Prompt(uvicorn.Server):
    """Ends when it is told to; uvicorn looks ten times a second, and then waits a tenth of a second for nobody."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._is_over = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True
        self._is_over.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._is_over.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # What has been accepted becomes a connection before the server counts as closed: it would be dropped unclosed.
        for listener in [listener for server in self.servers for listener in server.sockets]:
            asyncio.get_running_loop().remove_reader(listener)
        for _ in range(3):
            await asyncio.sleep(0)
        for listener in [*self.servers, *(sockets or [])]:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        # Those that are idle end in the loop's next turn.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)


@dataclass
class StubServer:
    """Serves web/, or another folder of a page, at `url`; everything else may be changed at any time.

    Attributes:
        options: Of GET /api/options; None: there is no such route.
        refusal: Status and reason that every API request gets.
        known: Conversations that can be gone on with; others get a new id.
        chat: Events of the next answers to POST /api/chat, one after the other; each (name, data).
        chat_pause: If set, the answer waits for it after its first two events.
        questions: Bodies of POST /api/chat.
        deleted: Conversations that were deleted.
        samples: Engine and voice of each sample that was asked for.
        histories: What is still known of conversations, by their ids; of others nothing is.
        speeches: Bodies of POST /v1/audio/speech, which is silence.
        speech_secs: How long that is.
        pictures: What came to POST /api/camera and /api/pictures, by its mark.
        heard: What every sound of POST /api/transcribe says; None: there are no ears.
        sounds: What came there, as WAV files.
    """

    url: str = ""
    web: Path = WEB
    health: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(HEALTH))
    options: dict[str, Any] | None = field(default_factory=lambda: copy.deepcopy(OPTIONS))
    refusal: tuple[int, str] | None = None
    known: set[str] = field(default_factory=set)
    chat: list[tuple[str, dict[str, Any]]] | None = None
    chat_pause: asyncio.Event | None = None
    questions: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    samples: list[tuple[str, str]] = field(default_factory=list)
    histories: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    speeches: list[dict[str, Any]] = field(default_factory=list)
    speech_secs: float = 0.5
    pictures: dict[str, bytes] = field(default_factory=dict)
    heard: str | None = "Hello."
    sounds: list[bytes] = field(default_factory=list)
    peers: list[StubPeer] = field(default_factory=list)
    _calls: "asyncio.Queue[StubPeer]" = field(default_factory=asyncio.Queue)
    _server: _Prompt | None = None
    _serving: "asyncio.Task[None] | None" = None

    async def next_peer(self) -> StubPeer:
        """The call after the last one asked for, once its event channel is open."""
        async with asyncio.timeout(30):
            peer = await self._calls.get()
            await peer.is_open.wait()
        return peer

    async def start(self) -> None:
        """Serve; after a stop at the same address again."""
        port = int(self.url.rsplit(":", 1)[1]) if self.url else 0
        listener = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(self._app(), log_level="error", ws="none", lifespan="off", timeout_graceful_shutdown=1)
        self._server = _Prompt(config)
        self._serving = asyncio.create_task(self._server.serve([listener]))

    async def stop(self, *, is_killed: bool = False) -> None:
        """End every call and stop to serve; of a server that is killed the calls learn nothing."""
        for peer in self.peers:
            if is_killed:
                peer.fall_silent()
            else:
                await peer.close()
        if self._server and self._serving:
            self._server.end()
            await self._serving

    def _app(self) -> ASGIApp:
        app = FastAPI()
        app.get("/health")(self._answer_health)
        app.get("/api/options")(self._answer_options)
        app.post("/api/offer")(self._take_offer)
        app.patch("/api/offer")(self._take_candidates)
        app.get("/api/voices/sample")(self._serve_sample)
        app.post("/api/camera/{mark}")(self._take_picture)
        app.post("/api/chat")(self._answer_question)
        app.post("/api/pictures")(self._keep_picture)
        app.post("/v1/audio/speech")(self._speak)
        app.get("/api/conversations/{conversation}")(self._tell_history)
        app.post("/api/transcribe")(self._transcribe)
        app.get("/api/conversations/{conversation}/{name}")(self._serve_recording)
        app.delete("/api/conversations/{conversation}")(self._delete)
        routes = ("/health", "/api/", "/v1/")

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            """The page's own files, of which it asks for nearly a hundred, by the shortest way."""
            is_file = scope["type"] == "http" and scope["method"] == "GET" and not scope["path"].startswith(routes)
            await (self._file(scope["path"].lstrip("/")) if is_file else app)(scope, receive, send)

        return answer

    def _refused(self) -> Response | None:
        return JSONResponse({"error": self.refusal[1]}, self.refusal[0]) if self.refusal else None

    async def _answer_health(self) -> Response:
        return JSONResponse(self.health, 200 if self.health["status"] == "ready" else 503)

    async def _answer_options(self) -> Response:
        if self.options is None:
            return JSONResponse({"detail": "Not Found"}, 404)
        return JSONResponse(self.options)

    def _name(self, asked: object) -> str:
        if isinstance(asked, str) and asked in self.known:
            return asked
        name = f"conversation-{len(self.known) + 1}"
        self.known.add(name)
        return name

    async def _take_offer(self, request: Request) -> Response:
        body = await request.json()
        if refused := self._refused():
            return refused
        peer = StubPeer(body, self._name(body.get("conversation")))
        self.peers.append(peer)
        answer = await peer.answer()
        self._calls.put_nowait(peer)
        return JSONResponse(answer)

    async def _take_candidates(self, request: Request) -> Response:
        body = await request.json()
        peer = next(p for p in self.peers if f"stub-{id(p)}" == body["pc_id"])
        peer.candidates.extend(body["candidates"])
        return JSONResponse({"status": "success"})

    async def _serve_sample(self, engine: str, voice: str) -> Response:
        if refused := self._refused():
            return refused
        self.samples.append((engine, voice))
        encoder = SoundEncoder("wav", 24_000)
        return Response(encoder.encode(bytes(24_000)) + encoder.finish(), media_type="audio/wav")

    async def _take_picture(self, request: Request, mark: str) -> Response:
        self.pictures[mark] = await request.body()
        return Response(status_code=204)

    async def _transcribe(self, file: UploadFile) -> Response:
        self.sounds.append(await file.read())
        if self.heard is None:
            return JSONResponse({"error": "the models are being loaded"}, 503)
        return JSONResponse({"text": self.heard, "language": "en", "duration_secs": 1.0})

    async def _answer_question(self, request: Request) -> Response:
        body = await request.json()
        if refused := self._refused():
            return refused
        if self.chat is None:
            return JSONResponse({"detail": "Not Found"}, 404)
        self.questions.append(body)
        name = self._name(body.get("conversation"))
        return StreamingResponse(self._tell([("conversation", {"conversation": name}), *self.chat]))

    async def _tell(self, events: list[tuple[str, dict[str, Any]]]) -> AsyncIterator[str]:
        for n, (name, data) in enumerate(events):
            if n == 2 and self.chat_pause:
                await self.chat_pause.wait()
            yield f"event: {name}\ndata: {json.dumps(data)}\n\n"

    def _file(self, name: str) -> Response:
        """A file of the page, under the policy that the real server sends, and with its mark."""
        path = self.web / (name or "index.html")
        if self.web not in path.resolve().parents or not path.is_file():
            return JSONResponse({"error": f"no such file: {name}"}, 404)
        mark = {VERSION_HEADER: self.health["version"]} if self.health["version"] else {}
        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-cache"}
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return Response(path.read_bytes(), headers={**headers, **mark}, media_type=kind)

    async def _serve_recording(self, conversation: str, name: str) -> Response:
        return Response(f"{name} of {conversation}", media_type="application/octet-stream")

    async def _keep_picture(self, request: Request) -> Response:
        body = await request.body()
        mark = f"mark-{len(self.pictures) + 1}"
        self.pictures[mark] = body
        return JSONResponse({"mark": mark})

    async def _speak(self, request: Request) -> Response:
        if refused := self._refused():
            return refused
        self.speeches.append(await request.json())
        return Response(wav_file(bytes(2 * round(8_000 * self.speech_secs)), 8_000), media_type="audio/wav")

    async def _tell_history(self, conversation: str) -> Response:
        told = self.histories.get(conversation, [])
        return JSONResponse({"conversation": conversation, "history": told, "noted": False})

    async def _delete(self, conversation: str) -> Response:
        if refused := self._refused():
            return refused
        self.deleted.append(conversation)
        self.known.discard(conversation)
        return Response(status_code=204)


def wav_file(pcm16: bytes, rate_hz: int) -> bytes:
    """Mono sound as a file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes(pcm16)
    return file.getvalue()


@asynccontextmanager
async def serve_stub(web: Path = WEB) -> AsyncIterator[StubServer]:
    """The stub on a free loopback port; leaving it ends every call."""
    stub = StubServer(web=web)
    await stub.start()
    try:
        yield stub
    finally:
        await stub.stop()


async def call(page: Page, stub: StubServer) -> StubPeer:
    """Press the button; the server's end of the call, once the page listens."""
    await page.get_by_role("button", name="Start talking").click()
    peer = await stub.next_peer()
    await expect(page.locator("#state")).to_have_text("Listening")
    return peer


async def choose(page: Page, name: str) -> None:
    """Something that is done with the conversation as a whole."""
    await page.get_by_role("button", name="Conversation").click()
    await page.get_by_role("button", name=name).click()


async def items(page: Page) -> list[str]:
    """The conversation as it can be read, one line an item."""
    texts = await page.locator("#conversation .item").all_inner_texts()
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
