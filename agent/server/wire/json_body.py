"""JSON bodies of the page's requests, and how the page is told of errors: `{"error": one line}`.

In:  a request.   Out: the object in its body, or a RequestError.

RequestError    a request cannot be answered; an HTTP status and one line
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from agent.errors import SottoError
from agent.server.wire.errors import ApiError
from transports.json_text import TooDeepError, read_json

MAX_BODY_BYTES = 256 * 1024
BODY_TIMEOUT_SECS = 10.0
MAX_MESSAGE_CHARS = 500


class RequestError(SottoError):
    """A request of the page cannot be answered.

    Args:
        status: HTTP status.
        message: One line.
        headers: Of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that failed; all beyond ASCII is escaped, for some of it no encoding can carry."""
    # A lone surrogate, which JSON can carry, is shown as an escape within the message.
    shown = message[:MAX_MESSAGE_CHARS].encode("utf-8", "backslashreplace").decode()
    return Response(json.dumps({"error": shown}), status, dict(headers or {}), "application/json")


async def read_body(request: Request, max_bytes: int, what: str = "the body") -> bytes:
    """Read a body whole.

    Args:
        request: Whose.
        max_bytes: How long it may be.
        what: What it is, in words.

    Raises:
        RequestError: 413: it is longer; 400: it is too slow.
        ClientDisconnect: The client hung up.
    """
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECS):
            async for piece in request.stream():
                data += piece
                if len(data) > max_bytes:
                    raise RequestError(413, f"{what} is larger than {max_bytes} bytes")
    except TimeoutError:
        raise RequestError(400, f"{what} did not arrive within {BODY_TIMEOUT_SECS:.0f} s") from None
    return bytes(data)


async def json_object(request: Request) -> dict[str, Any]:
    """Read a body that holds one JSON object.

    Raises:
        RequestError: 413: it is too large; 400: it is too slow, nested too deep, no JSON or no object.
        ClientDisconnect: The client hung up.
    """
    data = await read_body(request, MAX_BODY_BYTES)
    try:
        body = read_json(data)
    except TooDeepError as error:
        raise RequestError(400, f"the body is {error}") from None
    except ValueError:
        raise RequestError(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise RequestError(400, "the body is not a JSON object")
    return body


async def api_object(request: Request) -> dict[str, Any]:
    """Read a body of the API that holds one JSON object.

    Raises:
        ApiError: See `json_object`.
        ClientDisconnect: The client hung up.
    """
    try:
        return await json_object(request)
    except RequestError as error:
        raise ApiError(error.status, str(error), code="invalid_body", headers=error.headers) from None
