"""A fake at the edge: an OpenAI-compatible language model server on loopback whose replies a test writes.

The HTTP is real and written by hand, because a test must be able to stall, cut or never begin an answer.

    async with ScriptedLLM(Reply("Hello", " there."), Failure(503), Reply("Back.")) as server:
        ...  # three requests to server.base_url get these three answers, in this order
    assert server.requests[0].messages[-1]["content"] == "hi"

Each POST takes the answer to the latest user message where `answers` has one, else the next of the script; after the
last one `server.otherwise` is given, a plain "Okay."
What asks at the start whether the model calls tools gets `answer_to_probe`, and is no request of the script.
GET /v1/models answers with `models`, or with `models_answer` where a test sets one.
`stop()` makes the port refuse connections, `start()` opens the same port again.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any, Self

from agent.engines.tool_probe import PROBE_NAME

Step = tuple[float, Mapping[str, Any]]


@dataclass(frozen=True)
class ToolCall:
    """A call of a function by the model; `argument_parts` are streamed one chunk each."""

    name: str
    argument_parts: Sequence[str] = ("{}",)
    call_id: str = "call_1"


class Reply:
    """A streamed answer: thoughts, then text, then tool calls, then the finish reason and the usage.

    Args:
        tokens: Text deltas in order; none at all is an empty reply.
        thoughts: Deltas of `thought_field`, sent before the text.
        thought_field: `reasoning_content` (vLLM, llama.cpp, LM Studio) or `reasoning` (Ollama).
        tool_calls: Sent after the text.
        first_delay_secs: Wait before the first delta; the response's head is sent at once.
        delay_secs: Wait before every further delta; a list that is too short begins anew.
        stall_after: Number of deltas after which nothing more comes while the connection stays open.
        drop_after: Number of deltas after which the connection is cut in the middle of the stream.
        error_after: Number of deltas after which the stream carries `error` as its last event.
        error: An OpenAI error object for `error_after`.
        finish_reason: `stop`, `length` or `tool_calls`; chosen by the content where it is not given.
        says_usage: Whether the usage is sent.
    """

    def __init__(
        self,
        *tokens: str,
        thoughts: Sequence[str] = (),
        thought_field: str = "reasoning_content",
        tool_calls: Sequence[ToolCall] = (),
        first_delay_secs: float = 0.0,
        delay_secs: float | Sequence[float] = 0.0,
        stall_after: int | None = None,
        drop_after: int | None = None,
        error_after: int | None = None,
        error: Mapping[str, Any] | None = None,
        finish_reason: str | None = None,
        says_usage: bool = True,
    ) -> None:
        self.says_usage = says_usage
        deltas: list[Mapping[str, Any]] = [{thought_field: thought} for thought in thoughts]
        deltas += [{"content": token} for token in tokens]
        for index, call in enumerate(tool_calls):
            deltas += _tool_call_deltas(index, call)
        gaps = [delay_secs] if isinstance(delay_secs, float | int) else delay_secs
        delays = [first_delay_secs, *islice(cycle(gaps), len(deltas))]
        self.deltas: tuple[Step, ...] = tuple(zip(delays, deltas, strict=False))
        self.stall_after = stall_after
        self.drop_after = drop_after
        self.error_after = error_after
        self.error = error or {}
        self.finish_reason = finish_reason or ("tool_calls" if tool_calls else "stop")


@dataclass(frozen=True)
class Failure:
    """An answer that is no stream: any status, content type and body."""

    status: int
    body: str | Mapping[str, Any] = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """Nothing is ever answered; `head` says whether at least the response's head is sent."""

    head: bool = False


@dataclass(frozen=True)
class Drop:
    """The connection is closed without an answer."""


Answer = Reply | Failure | Hang | Drop


@dataclass
class Request:
    """What the server was asked, and how it ended.

    Attributes:
        headers: Names in lower case.
        body: The JSON body; empty for a GET.
        closed_by_client: Set when the client hangs up before the answer is complete.
        answered: Set when the answer is complete.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    closed_by_client: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation that was sent."""
        return self.body["messages"]

    @property
    def is_probe(self) -> bool:
        """Whether it is asked at the start whether the model calls tools."""
        return any(one["function"]["name"] == PROBE_NAME for one in self.body.get("tools") or ())


class ScriptedLLM:
    """The server; an async context manager that listens on 127.0.0.1 between enter and exit."""

    def __init__(
        self,
        *script: Answer,
        answers: Mapping[str, Answer] | None = None,
        models: Sequence[str] = ("scripted",),
        models_answer: Answer | None = None,
        port: int = 0,
    ) -> None:
        self.script: list[Answer] = list(script)
        self.answers = dict(answers or {})
        self.otherwise: Answer = Reply("Okay.")
        self.answer_to_probe: Answer = Failure(503)
        self.models = tuple(models)
        self.models_answer = models_answer
        # What Ollama's /api/show answers, and whether paths without /v1 answer 404.
        self.answer_to_show: dict[str, Any] | None = None
        self.only_v1 = False
        self.port = port
        self.all_requests: list[Request] = []
        self._arrival = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """Where an OpenAI client finds it, ending in /v1."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> list[Request]:
        """The chat completions asked for, in order."""
        return [request for request in self.all_requests if request.method == "POST" and not request.is_probe]

    @property
    def probes(self) -> list[Request]:
        """The requests by which it was found out whether the model calls tools."""
        return [request for request in self.all_requests if request.is_probe]

    async def asked(self, n_requests: int = 1) -> Request:
        """Wait until so many chat completions have been asked for; returns the last of them."""
        async with self._arrival:
            await self._arrival.wait_for(lambda: len(self.requests) >= n_requests)
        return self.requests[n_requests - 1]

    def chosen(self, request: Request) -> Answer:
        """What a request is answered with."""
        if request.is_probe:
            return self.answer_to_probe
        asked = request.messages[-1].get("content", "")
        # With a picture beside them they come in parts.
        words = asked[0].get("text") if isinstance(asked, list) and asked else asked
        return (self.answers.get(words) if isinstance(words, str) else None) or self._next()

    def _next(self) -> Answer:
        return self.script.pop(0) if self.script else self.otherwise

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut every connection and refuse new ones."""
        if self._server is None:
            return
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                request = await _read_request(reader)
                self.all_requests.append(request)
                async with self._arrival:
                    self._arrival.notify_all()
                answering = asyncio.ensure_future(self._answer(request, writer))
                hang_up = asyncio.ensure_future(reader.read(1))
                await _first_of(answering, hang_up)
                if answering.done() and not answering.cancelled() and answering.exception() is None:
                    request.answered.set()
                else:
                    request.closed_by_client.set()
            finally:
                writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if self.only_v1 and not request.path.startswith("/v1/"):
            answer: Answer = Failure(404, "")
        elif request.path == "/api/show" and self.answer_to_show is not None:
            answer = Failure(200, self.answer_to_show)
        elif request.method == "GET":
            listing = {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]}
            answer = self.models_answer or Failure(200, listing)
        else:
            answer = self.chosen(request)
        if isinstance(answer, Reply):
            await _stream(answer, request.body.get("model", "scripted"), writer)
        elif isinstance(answer, Failure):
            await _send_whole(answer, writer)
        elif isinstance(answer, Hang):
            if answer.head:
                await _send_head(writer)
            await asyncio.Event().wait()


def _tool_call_deltas(index: int, call: ToolCall) -> list[dict[str, Any]]:
    head = {"index": index, "id": call.call_id, "type": "function"}
    first = {**head, "function": {"name": call.name, "arguments": ""}}
    parts = [{"index": index, "function": {"arguments": part}} for part in call.argument_parts]
    return [{"tool_calls": [piece]} for piece in (first, *parts)]


async def _first_of(*tasks: asyncio.Future[Any]) -> None:
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, json.loads(body) if body else {})


async def _send_whole(answer: Failure, writer: asyncio.StreamWriter) -> None:
    body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
    payload = body.encode()
    lines = [f"HTTP/1.1 {answer.status} Scripted", f"Content-Type: {answer.content_type}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    lines += [f"Content-Length: {len(payload)}", "Connection: close", "", ""]
    writer.write("\r\n".join(lines).encode() + payload)
    await writer.drain()


async def _send_head(writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    await writer.drain()


async def _send_event(writer: asyncio.StreamWriter, event: str) -> None:
    line = f"data: {event}\n\n".encode()
    writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
    await writer.drain()


async def _stream(reply: Reply, model: str, writer: asyncio.StreamWriter) -> None:
    await _send_head(writer)
    async for event in _events(reply, model):
        await _send_event(writer, event)
    if reply.drop_after is None:
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _events(reply: Reply, model: str) -> AsyncIterator[str]:
    head = {"id": "scripted-1", "object": "chat.completion.chunk", "created": 0, "model": model}

    def chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> str:
        return json.dumps({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    yield chunk({"role": "assistant", "content": ""})
    for sent, (delay_secs, delta) in enumerate((*reply.deltas, (0.0, {}))):
        if sent == reply.stall_after:
            await asyncio.Event().wait()
        if sent == reply.drop_after:
            return
        if sent == reply.error_after:
            yield json.dumps({"error": reply.error})
            return
        if delta:
            await asyncio.sleep(delay_secs)
            yield chunk(delta)
    yield chunk({}, reply.finish_reason)
    if reply.says_usage:
        n_tokens = len(reply.deltas)
        usage = {"prompt_tokens": 7, "completion_tokens": n_tokens, "total_tokens": 7 + n_tokens}
        yield json.dumps({**head, "choices": [], "usage": usage})
    yield "[DONE]"
