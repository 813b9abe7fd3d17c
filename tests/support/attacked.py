"""The whole web application within a test's process, its routes called without a socket.

The engines are scripted; conversations, peers, histories and the speech API are the real ones.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import unquote

import httpx
import psutil
from starlette.types import ASGIApp, Message

from agent.server.app import build_app
from agent.server.calls.sessions import LiveSessions
from agent.server.calls.webrtc import WebSessions
from agent.server.state import Loaded, ServerState
from agent.settings.load import load_settings
from tests.support.hostile import Witness, n_tasks, settled
from tests.support.house import hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM
from tests.support.served import jobs_of
from tests.support.speech_callers import NotingEngine

URL = "http://127.0.0.1:7860"


class Attacked:
    """The application, and what was there before it is attacked.

    Args:
        state: What its routes look at.
        application: Holds the routes.
        client: Calls them.
        witness: Of the logs.
    """

    def __init__(self, state: ServerState, application: ASGIApp, client: httpx.AsyncClient, witness: Witness) -> None:
        self.state = state
        self.application = application
        self.client = client
        self.witness = witness
        self._n_tasks = n_tasks()

    async def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send one request; whatever it is, it is answered in form."""
        answer = await self.client.request(method, path, **request)
        self.check(answer)
        return answer

    async def call(
        self, method: str, target: str, headers: Sequence[tuple[bytes, bytes]], *body: bytes, is_whole: bool = True
    ) -> httpx.Response:
        """Send one request as the HTTP server hands it over.

        Args:
            method: Of the request.
            target: Its path and query, as they were written.
            headers: Beside Host.
            body: In pieces.
            is_whole: Whether the caller hangs up after the last of them, in the middle of its request.
        """
        raw_path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "headers": [(name.lower(), value) for name, value in ((b"host", b"127.0.0.1:7860"), *headers)],
            "scheme": "http",
            "path": unquote(raw_path),
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "server": ("127.0.0.1", 7860),
            "client": ("127.0.0.1", 50_000),
            "root_path": "",
        }
        received: deque[Message] = deque({"type": "http.request", "body": piece, "more_body": True} for piece in body)
        received.append({"type": "http.request", "body": b"", "more_body": False})
        if not is_whole:
            received.pop()
        sent: list[Message] = []
        answered = asyncio.Event()

        async def receive() -> Message:
            if received:
                return received.popleft()
            # Who has sent all waits for the answer.
            if is_whole:
                await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                answered.set()

        await self.application(scope, receive, send)
        if not sent:
            assert not is_whole
            return httpx.Response(499)
        content = b"".join(message.get("body", b"") for message in sent[1:])
        answer = httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=content)
        self.check(answer)
        return answer

    async def tell(self, method: str, path: str, body: Any) -> httpx.Response:
        """Send one request with a body of JSON, numbers that are none among it."""
        return await self.ask(method, path, content=json.dumps(body), headers={"Content-Type": "application/json"})

    def check(self, answer: httpx.Response) -> None:
        """No answer is a failure of the server's, and each error is one line."""
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        assert answer.headers["content-security-policy"]
        if answer.status_code >= 400 and answer.headers.get("content-type") == "application/json":
            error = answer.json().get("error") or answer.json()["detail"]
            message = error["message"] if isinstance(error, dict) else error
            assert message
            assert message.isprintable(), message
            assert len(message) <= 800

    async def settle(self) -> None:
        """End every conversation; nothing of them may be left."""
        sessions = self.state.sessions()
        for session in list(sessions._running):
            await session.end("the test ends")
        await settled(lambda: sessions.n_active == 0 and n_tasks() <= self._n_tasks)
        self.witness.check()


@asynccontextmanager
async def attacked(witness: Witness, **limits: Any) -> AsyncIterator[Attacked]:
    """The application on scripted engines.

    Args:
        witness: Of the logs.
        limits: Settings of the section `server`.
    """
    witness.watch_loop()
    async with ScriptedLLM() as llm, hosting(NotingEngine(), options(llm), ScriptedSynthesizer()) as host:
        state = ServerState(load_settings({f"server.{key}": value for key, value in limits.items()}))
        sessions = LiveSessions(host, state.settings, state.histories)
        peers, jobs = WebSessions(sessions), jobs_of(host, state.settings)
        state.loaded = Loaded(host, jobs, sessions, peers)
        application = build_app(state)
        transport = httpx.ASGITransport(application, raise_app_exceptions=True)
        try:
            async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
                await client.get("/health")
                yield Attacked(state, application, client, witness)
        finally:
            await sessions.close()
            await peers.close()
            await jobs.close(timeout_secs=5)


Attack = Callable[[Coroutine[Any, Any, Any]], Any]


@contextmanager
def under_attack(witness: Witness, **limits: Any) -> Iterator[tuple[Attacked, Attack]]:
    """The application, and what runs one attack after the other on it; in the end no more is open than before."""
    with asyncio.Runner() as runner:
        opened = attacked(witness, **limits)
        application = runner.run(opened.__aenter__())
        n_open = psutil.Process().num_fds()
        try:
            yield application, runner.run
            runner.run(application.settle())
            assert psutil.Process().num_fds() <= n_open
        finally:
            runner.run(opened.__aexit__(None, None, None))
