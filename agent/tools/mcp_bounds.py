"""What a message of a server of tools may be, so that no text of it holds up the conversations.

In:  bytes as they come, and messages as they were read.   Out: the same, or why they are too much.

mcp reads messages on the event loop, and the reader keeps the interpreter to itself, so that a thread would not help:
a megabyte takes 1 ms as one text and 170 ms as empty lists, and four seconds as pieces of a result that are none. So
these, and what is told of tools, are handed to it in the form that it expects, with what is used of them here alone.
"""

import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import INTERNAL_ERROR, ErrorData, JSONRPCError, JSONRPCResponse

MAX_MESSAGE_BYTES = 1 << 20
# Of lists, objects and what is in them.
MAX_VALUES = 15_000
# Pieces of a result, tools of a page.
MAX_ITEMS = 500
# Of all that mcp compares with its own types, beside those.
MAX_COMPARED = 1_000
SLICE_BYTES = 8 * 1024

TOO_LONG = f"it is longer than {MAX_MESSAGE_BYTES >> 20} MB"
TOO_MANY = f"it has more than {MAX_VALUES} values"

_NAMES = {"content": "pieces", "tools": "tools"}
_PIECES = {
    "text": ("text",),
    "image": ("data", "mimeType"),
    "audio": ("data", "mimeType"),
    "resource_link": ("name", "uri"),
}
# What mcp takes as it is, and what has its form already.
_UNCOMPARED = {"content", "tools", "structuredContent"}

_ESCAPES = re.compile(rb"\\.", re.DOTALL)
_KEPT = b'",[{\n'
_REST = bytes(one for one in range(256) if one not in _KEPT)
# JSON has no line end within a text.
_TEXTS = re.compile(rb'"[^"\n]*["\n]')
_ID_FIRST = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d+)\s*,')
# One brace behind it: it is the message's own, not of something within.
_ID_LAST = re.compile(rb'(?<!\\)"id"\s*:\s*(\d+)\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z')
_ID_WITHIN_BYTES = 120
_BLANK_LINES = re.compile(rb"[ \t\r\n]*\n")


class Weight:
    """Counts what a message has so far."""

    def __init__(self) -> None:
        self.n_bytes = self.n_values = 0
        self._escaped = self._in_text = False

    def add(self, piece: bytes) -> None:
        """A further piece of the message.

        Args:
            piece: Cut anywhere.
        """
        self.n_bytes += len(piece)
        if self._escaped:
            self._escaped, piece = not piece, piece[1:]
        plain = _ESCAPES.sub(b"", piece)
        self._escaped = self._escaped or plain.endswith(b"\\")
        outside = _TEXTS.sub(b"", b'"' * self._in_text + plain.translate(None, _REST))
        outside, quote, _ = outside.partition(b'"')
        self._in_text = bool(quote)
        self.n_values += len(outside) - outside.count(b"\n")

    def fault(self) -> str:
        """Why it is too much; empty where it is not."""
        return TOO_LONG if self.n_bytes > MAX_MESSAGE_BYTES else TOO_MANY if self.n_values > MAX_VALUES else ""


class StreamWeight:
    """The same for a stream of events, each a message; empty lines stand between them."""

    def __init__(self) -> None:
        self._weight = Weight()
        self._last = b""
        self._fault = ""

    def add(self, piece: bytes) -> None:
        """A further piece of the stream.

        Args:
            piece: Cut anywhere.
        """
        if not piece:
            return
        if self._last == b"\r" and piece.startswith(b"\n"):
            piece = piece[1:]
        ended_line = self._last in (b"\r", b"\n")
        self._last = piece[-1:] or self._last
        lines = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if ended_line and lines.startswith(b"\n"):
            self._weight = Weight()
        for n, event in enumerate(lines.split(b"\n\n")):
            if n:
                self._weight = Weight()
            self._weight.add(event)
            self._fault = self._fault or self._weight.fault()

    def fault(self) -> str:
        """Why an event is too much; empty where none is."""
        return self._fault


class MessageLines:
    """The lines that a server writes, each a message; of what is too much only its ends are kept."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._line, self._weight, self._tail = bytearray(), Weight(), b""

    def add(self, piece: bytes) -> Iterator["bytes | RefusedLine | int"]:
        """The lines that end in a further piece of what it writes, each made when it is asked for.

        Args:
            piece: Cut anywhere; it counts once all of them have been taken.

        Returns:
            Lines without their ends; a number: of so many blank ones in a row, which are looked at all at once.
        """
        at = 0
        while at < len(piece):
            if not self._line and (blank := _BLANK_LINES.match(piece, at)):
                at = blank.end()
                yield blank[0].count(b"\n")
                continue
            end = piece.find(b"\n", at)
            self._take(piece[at:] if end < 0 else piece[at:end])
            if end < 0:
                return
            at = end + 1
            yield self._ended()

    def _ended(self) -> "bytes | RefusedLine":
        fault, line = self._weight.fault(), bytes(self._line)
        ended = RefusedLine(fault, line[:_ID_WITHIN_BYTES], self._tail) if fault else line
        self._begin()
        return ended

    def _take(self, part: bytes) -> None:
        if not self._weight.fault():
            self._line += part
            self._weight.add(part)
        self._tail = (self._tail + part[-_ID_WITHIN_BYTES:])[-_ID_WITHIN_BYTES:]


class RefusedLine:
    """A message that is too much.

    Attributes:
        fault: Why.
        answers: The number of the request that it answers; None where it answers none, or does not say so at its
            beginning or end.
    """

    def __init__(self, fault: str, head: bytes, tail: bytes) -> None:
        self.fault = fault
        found = None if b'"method"' in head else _ID_FIRST.match(head) or _ID_LAST.search(tail)
        self.answers = int(found[1]) if found and len(found[1]) < 16 else None

    def error(self) -> JSONRPCError | None:
        """What whoever waits for it is answered instead."""
        if self.answers is None:
            return None
        return refusal(self.answers, self.fault)


def refusal(request_id: int | str, fault: str) -> JSONRPCError:
    """What whoever waits for an answer that is too much gets instead.

    Args:
        request_id: Of the request.
        fault: Why, as a sentence about the answer.
    """
    error = ErrorData(code=INTERNAL_ERROR, message=f"its answer cannot be used: {fault}")
    return JSONRPCError(jsonrpc="2.0", id=request_id, error=error)


def usable(message: SessionMessage) -> SessionMessage | None:
    """The message with no more in it than is used here; None where nothing is to be done with it.

    Args:
        message: As it was read. Its tools lose the schemas of their results, by which nothing is checked here and which
            may take for ever.
    """
    told = message.message
    if not isinstance(told, JSONRPCResponse):
        params = getattr(told, "params", None)
        return message if _n_values(params) <= MAX_COMPARED else None
    result: dict[str, Any] = told.result
    for name, shorten in (("content", _piece), ("tools", _tool)):
        if isinstance(items := result.get(name), list):
            if len(items) > MAX_ITEMS:
                return SessionMessage(refusal(told.id, f"it has more than {MAX_ITEMS} {_NAMES[name]}"))
            result[name] = [shorten(one) for one in items]
    others = {name: value for name, value in result.items() if name not in _UNCOMPARED}
    if _n_values(others) > MAX_COMPARED:
        return SessionMessage(refusal(told.id, f"it has more than {MAX_COMPARED} values beside its result"))
    return message


def _piece(piece: Any) -> dict[str, Any]:
    kind = piece.get("type") if isinstance(piece, dict) else None
    if isinstance(kind, str) and _has_texts(piece, _PIECES.get(kind, ("",))):
        return {name: piece[name] for name in ("type", *_PIECES[kind])}
    held = piece.get("resource") if kind == "resource" else None
    for body in ("text", "blob"):
        if isinstance(held, dict) and _has_texts(held, ("uri", body)):
            kept = ("uri", body, "mimeType") if _has_texts(held, ("mimeType",)) else ("uri", body)
            return {"type": "resource", "resource": {name: held[name] for name in kept}}
    return {"type": "text", "text": "[something of no known kind]"}


def _tool(tool: Any) -> Any:
    if not isinstance(tool, dict):
        return {}
    kept = {name: tool[name] for name in ("name", "title", "description", "inputSchema") if name in tool}
    hints = tool.get("annotations")
    if isinstance(hints, dict) and isinstance(hints.get("readOnlyHint"), bool):
        kept["annotations"] = {"readOnlyHint": hints["readOnlyHint"]}
    return kept


def _has_texts(held: Any, names: Iterable[str]) -> bool:
    return all(isinstance(held.get(name), str) for name in names)


def _n_values(held: object) -> int:
    """Of lists and objects, and of what is in them, at any depth."""
    n_values, waiting = 0, [held]
    while waiting and n_values <= MAX_COMPARED:
        one = waiting.pop()
        within = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        n_values += len(within)
        waiting += within
    return n_values


class _UsableStream:
    """A stream of mcp's, of which only usable messages are received."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def receive(self) -> SessionMessage | Exception:
        while True:
            one = await self._stream.receive()
            if not isinstance(one, SessionMessage):
                return one
            if (found := usable(one)) is not None:
                return found

    def __aiter__(self) -> "_UsableStream":
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> "_UsableStream":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __getattr__(self, name: str) -> Any:
        # Such as `last_context`, which mcp looks for.
        return getattr(self._stream, name)


@asynccontextmanager
async def only_usable(transport: Any) -> AsyncIterator[tuple[Any, Any]]:
    """A transport whose messages are usable.

    Args:
        transport: mcp's, an async context manager of the streams that it reads from and writes to.
    """
    async with transport as (read_stream, write_stream):
        yield _UsableStream(read_stream), write_stream
