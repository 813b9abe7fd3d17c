"""The front's application: finds out whom a request is for, and has that worker answer it.

In:  HTTP requests.   Out: workers' answers; of /health and /metrics one that is made of all of theirs.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from starlette.types import Receive, Scope, Send

from agent.server.wire.paths import is_api_path
from agent.server.workers import merged
from agent.server.workers.front_server import CONNECTION
from agent.server.workers.handing import WorkerGoneError, WorkerStuckError
from agent.server.workers.routing import Routing
from agent.server.workers.targets import LOAD, METRICS, Kind, Target, body_target, join_target, socket_target, target_of
from agent.server.workers.upstream import Body, BrokenAnswerError, fetch, pass_on
from transports.json_text import read_json

# As the routes have it, which refuse what is larger or slower.
MAX_BODY_BYTES = 256 * 1024
BODY_SECS = 10.0
# A worker that answers nothing for so long is left out of the server's health.
TELL_SECS = 5.0
LOAD_SECS = 120.0
# Until the first worker takes connections.
START_SECS = 30.0
LOADING = "the agent is still loading its models; try again in a moment"
BROKEN = "the process that was to answer this has ended; try again"
TEXT = "text/plain; version=0.0.4; charset=utf-8"

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


class Links:
    """What leads to the workers; the fleet.

    Attributes:
        routing: The table.
        is_draining: Whether the server is to end.
    """

    routing: Routing
    is_draining: bool

    async def someone(self, within_secs: float) -> bool:
        """Whether a worker takes connections, now or within a time."""
        raise NotImplementedError

    async def line(self, number: int, scope: Scope) -> socket.socket:
        """A connection to a worker.

        Raises:
            WorkerGoneError: It has ended.
        """
        raise NotImplementedError

    def figures(self) -> Mapping[str, float]:
        """What the front tells of itself, as metrics."""
        raise NotImplementedError


class FrontApp:
    """An ASGI application, and the ways of WebSockets.

    Args:
        links: To the workers.
    """

    def __init__(self, links: Links) -> None:
        self._links = links
        self._routing = links.routing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        target, body = target_of(scope["method"], scope["path"], scope["headers"]), Body(receive)
        if target.kind is Kind.EVERYONE:
            await self._answer_together(scope, body, send)
            return
        if not await self._links.someone(START_SECS):
            await _refuse(scope, send, 503, LOADING)
            return
        if target.kind is Kind.BY_BODY:
            target = await self._read(scope, body)
        await self._pass_on(target, scope, body, send)

    def by_handshake(self, scope: Scope) -> tuple[int | None, bool]:
        """As `Ways` has it."""
        target = socket_target(scope["path"], scope["headers"])
        if target.kind is Kind.BY_JOIN:
            return self._routing.newcomer(), True
        return self._worker_of(target), False

    def by_join(self, text: str, number: int) -> int | None:
        """As `Ways` has it."""
        try:
            target = join_target(read_json(text))
        except ValueError:
            return number
        chosen = number if target.kind is Kind.NEW_CALL else self._routing.home(target.name)
        if chosen is not None and chosen != number:
            self._routing.moved(number, chosen)
        if target.page and chosen is not None:
            self._routing.note_page(target.page, chosen)
        return chosen

    async def connect(self, number: int, scope: Scope) -> socket.socket:
        """As `Ways` has it."""
        return await self._links.line(number, scope)

    async def _read(self, scope: Scope, body: Body) -> Target:
        data = await body.start(MAX_BODY_BYTES, BODY_SECS)
        if data is None:
            return Target(Kind.ANYONE)
        with suppress(ValueError):
            return body_target(scope["path"], scope["method"], read_json(data))
        return Target(Kind.ANYONE)

    def _worker_of(self, target: Target) -> int | None:
        routing = self._routing
        choose: dict[Kind, Callable[[], int | None]] = {
            Kind.NAMED: lambda: routing.home(target.name),
            Kind.OF_PAGE: lambda: routing.of_page(target.name),
            Kind.FIRST: routing.first,
            Kind.NEW_CALL: routing.newcomer,
        }
        return choose.get(target.kind, routing.anyone)()

    async def _pass_on(self, target: Target, scope: Scope, body: Body, send: Send) -> None:
        number = self._worker_of(target)
        if number is None:
            await _refuse(scope, send, 503, LOADING)
            return
        if target.page:
            self._routing.note_page(target.page, number)
        try:
            line = await self._links.line(number, scope)
        except WorkerStuckError:
            await _refuse(scope, send, 503, BROKEN)
            return
        except WorkerGoneError:
            # It is no longer in the table.
            await self._pass_on(target, scope, body, send)
            return
        try:
            await pass_on(line, scope, body.receive, send)
        except BrokenAnswerError as error:
            if not error.has_begun:
                await _refuse(scope, send, 503, BROKEN)
                return
            scope[CONNECTION].cut()
            # Until the server knows that it is closed, which then expects no end of the answer.
            while (await body.receive())["type"] != "http.disconnect":
                pass

    async def _answer_together(self, scope: Scope, body: Body, send: Send) -> None:
        data = b""
        if scope["path"] == LOAD:
            data = await body.start(MAX_BODY_BYTES, BODY_SECS)
            if data is None or not await self._links.someone(START_SECS):
                await self._pass_on(Target(Kind.FIRST), scope, body, send)
                return
        answers = await self._all_answers(scope, data, LOAD_SECS if scope["path"] == LOAD else TELL_SECS)
        if scope["path"] == METRICS:
            answer = self._metrics(answers)
        elif scope["path"] == LOAD:
            answer = _worst(answers)
        else:
            answer = self._health(scope["path"], answers)
        if answer is None:
            await _refuse(scope, send, 503, LOADING)
            return
        status, headers, content = answer
        headers = [(name, value) for name, value in headers if name != b"content-length"]
        if status != 204:
            headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content, "more_body": False})

    async def _all_answers(self, scope: Scope, body: bytes, within_secs: float) -> list[Answer]:
        """What the workers answer that answer at all."""
        if scope["path"] != LOAD:
            # The answer is made of them, in our format.
            unwanted = (b"accept", b"accept-encoding")
            kept = [(name, value) for name, value in scope["headers"] if name not in unwanted]
            scope = {**scope, "method": "GET", "headers": kept}

        async def ask(number: int) -> Answer:
            async with asyncio.timeout(within_secs):
                return await fetch(await self._links.line(number, scope), scope, body)

        asked = (ask(number) for number in sorted(self._routing.up))
        found = await asyncio.gather(*asked, return_exceptions=True)
        return [one for one in found if not isinstance(one, BaseException)]

    def _health(self, path: str, answers: list[Answer]) -> Answer:
        if refusal := next((one for one in answers if one[0] not in (200, 503)), None):
            return refusal
        reports = [report for _, _, content in answers if isinstance(report := json.loads(content), dict)]
        report = merged.health(reports, n_workers=self._routing.of, is_draining=self._links.is_draining)
        headers = answers[0][1] if answers else _JSON
        status = 200 if merged.is_well(path, report["status"]) else 503
        return status, headers, json.dumps(report, separators=(",", ":"), ensure_ascii=False).encode()

    def _metrics(self, answers: list[Answer]) -> Answer | None:
        if refusal := next((one for one in answers if one[0] != 200), None):
            return refusal
        if not answers:
            return None
        text = merged.metrics((content.decode() for _, _, content in answers), self._links.figures())
        headers = [(name, value) for name, value in answers[0][1] if name != b"content-type"]
        return 200, [*headers, (b"content-type", TEXT.encode())], text.encode()


_JSON = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


def _worst(answers: list[Answer]) -> Answer | None:
    return max(answers, key=lambda one: one[0]) if answers else None


async def _refuse(scope: Scope, send: Send, status: int, message: str) -> None:
    error: Any = message
    if is_api_path(scope["path"]):
        error = {"message": message, "type": "server_error", "param": None, "code": "unavailable"}
    content = json.dumps({"error": error}).encode()
    headers = [*_JSON, (b"retry-after", b"1"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": False})
