"""Answers that are sent piece by piece: server-sent events, callers that hang up, bodies that are refused unread.

In:  an ASGI connection.   Out: ASGI messages.
Source: the HTML standard's event stream format.
"""

import asyncio
import json
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Message, Receive, Send

from agent.server.wire.uploads import ClientGoneError

STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # nginx would hold the events back until there are many.
    (b"x-accel-buffering", b"no"),
]
# How long a body that was refused unread is still taken in: closing at once could cost the caller its answer.
LINGER_SECS = 2.0
# A caller that takes in nothing for so long has hung up without a word.
SEND_SECS = 30.0
# Most clients read no answer before they have sent a whole file; what comes is thrown away as it comes.
UPLOAD_LINGER_SECS = 15.0

Result = TypeVar("Result")


class Body:
    """A request's body on its way in; call it in place of `receive`.

    Attributes:
        ended: Whether all of it has been received.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self.ended = not message.get("more_body", False)
        return message


async def refuse_unread(response: Response, body: Body, send: Send, linger_secs: float = LINGER_SECS) -> None:
    """Answer before the body has arrived, and end the connection unless it arrives soon.

    Args:
        response: The answer.
        body: What has not been read of the request.
        send: Takes the answer.
        linger_secs: How long the rest is taken in.
    """
    headers = [*response.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send(chunk(bytes(response.body)))
    with suppress(TimeoutError):
        async with asyncio.timeout(linger_secs):
            while not body.ended:
                await body()
    await end_stream(send)


async def begin_stream(send: Send) -> None:
    """Begin an answer of server-sent events."""
    await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})


async def end_stream(send: Send) -> None:
    """End an answer that was sent in pieces."""
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def event(content: dict[str, Any], name: str | None = None) -> Message:
    """One server-sent event.

    Args:
        content: Its data, written as JSON on one line.
        name: Its type; None for a plain message.
    """
    head = f"event: {name}\n" if name else ""
    # Half a surrogate pair, which a caller can write as a JSON escape, has no UTF-8: it goes back as a question mark.
    return chunk(f"{head}data: {json.dumps(content, ensure_ascii=False)}\n\n".encode("utf-8", "replace"))


def chunk(body: bytes) -> Message:
    """A piece of an answer, not the last."""
    return {"type": "http.response.body", "body": body, "more_body": True}


async def send_soon(send: Send, message: Message) -> None:
    """Send to a caller that takes it in.

    Args:
        send: Takes the message.
        message: A piece of an answer.

    Raises:
        ClientGoneError: It took in nothing for SEND_SECS.
    """
    try:
        async with asyncio.timeout(SEND_SECS):
            await send(message)
    except TimeoutError:
        raise ClientGoneError from None


async def unless_hung_up(receive: Receive, answering: Coroutine[Any, Any, Result]) -> Result:
    """Answer for as long as the caller listens.

    Args:
        receive: Of a request whose body has been read.
        answering: Is cancelled when the caller hangs up, and awaited until it has ended.

    Raises:
        ClientGoneError: It hung up; the work was cancelled.
    """
    tasks = asyncio.create_task(answering), asyncio.create_task(_hang_up(receive))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            return tasks[0].result()
        raise ClientGoneError
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
